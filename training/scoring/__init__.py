"""Scores as the benchmarks compute them, broken down by distance and camera view, and submission files."""
