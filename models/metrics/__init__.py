"""Scores of detections against truth: matching, average precision, calibration, bootstrap; numpy and scipy only."""
