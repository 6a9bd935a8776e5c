"""Recordings of the synthetic world in the layouts of public data sets."""
