"""Faults on purpose, against the real node over real DDS: ``python -m sam2amml_ros.faults``."""
