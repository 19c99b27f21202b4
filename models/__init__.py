"""What is in the pixels: detectors and what they return."""
