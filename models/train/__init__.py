"""Training of the vessel network: labelled images, what is done to them, and the loop."""
