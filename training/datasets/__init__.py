"""Labelled data sets read straight from their files: SemanticKITTI, nuScenes-lidarseg, cached sweeps, and your own."""
