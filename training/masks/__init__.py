"""Pictures with exact masks from the synthetic world, and the training of a small SAM2 on them."""
