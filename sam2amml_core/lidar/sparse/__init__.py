"""Sparse convolution: neighbour tables (NumPy) and the convolutions that use them (torch, imported where used)."""
