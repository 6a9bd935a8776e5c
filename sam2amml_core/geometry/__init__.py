"""Calibration, projection of LiDAR points into cameras, and visibility."""
