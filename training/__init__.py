"""Offline side of sam2amml: the synthetic street world, datasets, training, evaluation and export."""
