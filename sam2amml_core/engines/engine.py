"""What an inference engine is, and how one is chosen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.errors import EngineError

logger = logging.getLogger(__name__)

ENGINES = ('auto', 'cpu', 'cuda', 'tensorrt', 'tensorrt-single', 'tensorrt-provider', 'torch', 'torch-compiled',
           'openvino')
"""
auto               the best that works here at once; see ``create_engine``
cpu, cuda          ONNX Runtime's providers
tensorrt           native TensorRT >= 10 at half precision, built on first use, which takes minutes
tensorrt-single    the same at single precision
tensorrt-provider  TensorRT inside ONNX Runtime
torch              the network itself, if the bundle carries its weights
torch-compiled     the same, compiled by torch: a minute or more at first; not for sparse networks
openvino           OpenVINO on the CPU, in bfloat16 where the CPU has it; never by itself, since labels then differ
"""


def refused(engine: str, inputs: Mapping[str, np.ndarray], error: Exception, remedy: str) -> EngineError:
    """What to raise when ``engine`` cannot run ``inputs``: with their types and shapes."""
    shapes = {name: f'{values.dtype}{list(values.shape)}' for name, values in inputs.items()}
    return EngineError(f'{engine} refused {shapes}: {in_short(error)}; {remedy}')


def in_short(error: Exception) -> str:
    """The beginning of an error's message, on one line."""
    return ' '.join(str(error).split())[:300]


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
    """Open an engine for a bundle; ``threads`` counts CPU threads. Raises ``EngineError`` if it is unavailable here.

    ``auto`` takes, in this order: native TensorRT if a plan for this very bundle and GPU has been built before (it
    never starts a build of minutes), ONNX Runtime on CUDA, torch on CUDA, ONNX Runtime on the CPU. The engine's
    ``reason`` says why not those before it.
    """
    from sam2amml_core.engines.onnx_runtime import OnnxRuntimeEngine

    if engine not in ENGINES:
        raise EngineError(f'unknown engine {engine!r}; choose one of {", ".join(ENGINES)}')
    if threads < 1:
        raise EngineError(f'an engine needs at least 1 thread, got {threads}')
    if engine.startswith('tensorrt') and engine != 'tensorrt-provider':
        from sam2amml_core.engines.tensorrt import TensorRtEngine

        return TensorRtEngine(bundle, 'single' if engine.endswith('single') else 'half')
    if engine.startswith('torch'):
        from sam2amml_core.engines.torch_network import TorchEngine

        return TorchEngine(bundle, threads, compile='inductor' if engine == 'torch-compiled' else '')
    if engine == 'openvino':
        from sam2amml_core.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, threads)
    if engine == 'auto':
        return _best(bundle, threads)
    return OnnxRuntimeEngine(bundle, 'tensorrt' if engine == 'tensorrt-provider' else engine, threads)


def build_only(bundle: ModelBundle, precision: str = 'half') -> str:
    """Build the TensorRT plan of a bundle for this GPU, or find it built; the name of the engine that runs it.

    Raises ``EngineError`` where TensorRT or a GPU is missing.
    """
    from sam2amml_core.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(bundle, precision).name


def _best(bundle: ModelBundle, threads: int) -> Engine:
    import onnxruntime

    from sam2amml_core.engines.onnx_runtime import PROVIDERS, OnnxRuntimeEngine
    from sam2amml_core.engines.tensorrt import TensorRtEngine, plan_reason
    from sam2amml_core.engines.torch_network import TorchEngine, missing_for_torch

    no_plan = plan_reason(bundle)
    if not no_plan:
        try:
            return TensorRtEngine(bundle)
        except EngineError as error:
            no_plan = str(error)
            logger.warning('TensorRT has a plan for %s but does not run it: %s', bundle.name, error)
    reasons = [f'no TensorRT: {no_plan}']
    if PROVIDERS['cuda'] not in onnxruntime.get_available_providers() and not missing_for_torch(bundle):
        try:
            torch_engine = TorchEngine(bundle, threads, 'cuda')
        except EngineError as error:
            reasons.append(f'no torch on CUDA: {error}')
        else:
            return torch_engine
    return OnnxRuntimeEngine(bundle, 'auto', threads, reasons)
