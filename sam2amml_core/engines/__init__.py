"""Inference engines behind one small protocol."""

from sam2amml_core.engines.engine import Engine, create_engine

__all__ = ['Engine', 'create_engine']
