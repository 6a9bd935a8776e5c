"""Experiments: which runs make a table, and what the table says."""
