"""LiDAR preprocessing and networks."""
