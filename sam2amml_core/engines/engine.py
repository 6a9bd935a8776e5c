"""What an inference engine is, and how one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.errors import EngineError

ENGINES = ('auto', 'cpu', 'cuda', 'tensorrt')
"""``auto`` takes CUDA where it works and the CPU else; ``tensorrt`` builds an engine first, which takes minutes."""


class Engine(Protocol):
    """Runs a bundle's network on the features of one sweep."""

    @property
    def name(self) -> str:
        """What runs, for logs: engine, device, threads."""

    @property
    def reason(self) -> str:
        """Why this engine was taken."""

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Named input arrays to named output arrays. Raises ``EngineError`` if the engine refuses them."""


def create_engine(bundle: ModelBundle, engine: str = 'auto', threads: int = 2) -> Engine:
    """Open an engine for a bundle; ``threads`` counts CPU threads. Raises ``EngineError`` if it is unavailable here."""
    from sam2amml_core.engines.onnx_runtime import OnnxRuntimeEngine

    if engine not in ENGINES:
        raise EngineError(f'unknown engine {engine!r}; choose one of {", ".join(ENGINES)}')
    if threads < 1:
        raise EngineError(f'an engine needs at least 1 thread, got {threads}')
    return OnnxRuntimeEngine(bundle, engine, threads)
