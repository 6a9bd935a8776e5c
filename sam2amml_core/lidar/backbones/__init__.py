"""Point cloud networks (torch; imported only for training and export)."""
