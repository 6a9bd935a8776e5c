"""Training losses (torch; imported only for training)."""
