"""NVIDIA TensorRT >= 10, native: built on first use for this GPU, kept on disk, run on NVIDIA's CUDA bindings.

Every TensorRT object is held under the name of its kind (``builder``, ``network``, ``config``, ...): a test reads this
file and checks each attribute of these names against the documented Python API.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.engines.cuda_memory import DeviceMemory, gpu_name
from sam2amml_core.engines.plan_cache import PlanCache, default_folder
from sam2amml_core.engines.profiles import profile_of
from sam2amml_core.errors import EngineError
from sam2amml_core.lidar.preparation import dimensions

logger = logging.getLogger(__name__)

OLDEST = 10
"""TensorRT 10.0 is the first whose parser keeps the reduction of ScatterElements; older ones drop it silently."""

PRECISIONS = ('half', 'single')
WORKSPACE_BYTES = 4 << 30


def require_tensorrt() -> Any:
    """The ``tensorrt`` module; raises ``EngineError`` with the remedy if it is missing or too old."""
    try:
        import tensorrt as trt
    except ImportError as error:
        raise EngineError(f'TensorRT is not installed ({error}); install tensorrt >= {OLDEST} for your CUDA '
                          '(pip install tensorrt), or use engine "cuda" or "cpu"') from error
    if int(trt.__version__.split('.')[0]) < OLDEST:
        raise EngineError(f'TensorRT {trt.__version__} silently drops the reduction of ScatterElements; '
                          f'install {OLDEST}.0 or newer, or use engine "cuda"')
    return trt


def cache_key(bundle: ModelBundle, precision: str, version: str, gpu: tuple[str, str]) -> dict[str, Any]:
    """What a plan depends on; one that was built for another key is built again."""
    return {'onnx': bundle.spec.onnx_sha256, 'gpu': gpu[0], 'compute_capability': gpu[1], 'tensorrt': version,
            'precision': precision, 'profile': {name: list(span) for name, span in profile_of(bundle).items()}}


def plan_reason(bundle: ModelBundle, precision: str = 'half', folder: Path | None = None) -> str:
    """Why there is no usable plan on disk for this bundle and GPU; empty if there is one. Builds nothing."""
    try:
        trt = require_tensorrt()
        key = cache_key(bundle, precision, trt.__version__, gpu_name())
    except EngineError as error:
        return str(error)
    return PlanCache(folder or default_folder()).why_not(f'{bundle.name}-{precision}', key)


def build_plan(bundle: ModelBundle, precision: str, without: tuple[str, ...] = ()) -> bytes:
    """Parse the bundle's graph and build it; outputs named in ``without`` are left out. Raises ``EngineError``."""
    trt = require_tensorrt()
    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(bundle.onnx_path)):
        errors = '; '.join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise EngineError(f'TensorRT {trt.__version__} cannot read {bundle.onnx_path}: {errors}; use engine "cuda"')
    for index in reversed(range(network.num_outputs)):
        tensor = network.get_output(index)
        if tensor.name in without:
            network.unmark_output(tensor)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if precision == 'half':
        half = getattr(trt.BuilderFlag, 'FP16', None)
        if half is None:
            raise EngineError(f'TensorRT {trt.__version__} takes the precision from the graph and this one is single; '
                              'use precision "single", or TensorRT 10')
        config.set_flag(half)
    profile = builder.create_optimization_profile()
    rows, spans = dimensions(bundle.input), profile_of(bundle)
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        if tensor.name not in rows:
            raise EngineError(f'{bundle.onnx_path} has an input {tensor.name!r} that its bundle does not prepare; '
                              'export the model again')
        profile.set_shape(tensor.name, *((count, *rest) for count in spans[rows[tensor.name]]))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f'TensorRT {trt.__version__} cannot build {bundle.onnx_path}; its log says why; '
                          'use engine "cuda"')
    return bytes(plan)


def build(bundle: ModelBundle, precision: str) -> bytes:
    """``build_plan``; graphs that TensorRT refuses with their class ids (int to uint8) are built without them."""
    try:
        return build_plan(bundle, precision)
    except EngineError as error:
        logger.warning('%s; trying again without class_id, which is then taken from the scores', error)
        return build_plan(bundle, precision, ('class_id',))


class TensorRtEngine:
    """A bundle's graph as a TensorRT plan. Not thread-safe.

    precision  'half' or 'single'
    folder     of the built plans; default ``~/.cache/sam2amml``
    Raises ``EngineError`` where TensorRT, a GPU or NVIDIA's CUDA bindings are missing, or the build fails.
    """

    reason = 'asked for, or its plan was built before'

    def __init__(self, bundle: ModelBundle, precision: str = 'half', folder: Path | None = None) -> None:
        if precision not in PRECISIONS:
            raise EngineError(f'unknown precision {precision!r}; choose one of {", ".join(PRECISIONS)}')
        trt = require_tensorrt()
        gpu = gpu_name()
        key = cache_key(bundle, precision, trt.__version__, gpu)
        cache = PlanCache(folder or default_folder())
        plan = cache.get(f'{bundle.name}-{precision}', key, lambda: build(bundle, precision))
        self._trt = trt
        self._log = trt.Logger(trt.Logger.WARNING)
        self._runtime = runtime = trt.Runtime(self._log)
        self._engine = engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f'{cache.path(f"{bundle.name}-{precision}")} does not load; delete it to build it again')
        self._context = engine.create_execution_context()
        self._profile = profile_of(bundle)
        self._rows = dimensions(bundle.input)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self.input_names = tuple(n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT)
        self._outputs = tuple(n for n in names if n not in self.input_names)
        self._memory = DeviceMemory()
        self.name = f'tensorrt {trt.__version__} on {gpu[0]}, {precision} precision'
        logger.info('%s runs in %s', bundle.name, self.name)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Named arrays in, named arrays out. Raises ``EngineError`` on arrays the network does not take."""
        context, memory = self._context, self._memory
        missing = [name for name in self.input_names if name not in inputs]
        if missing:
            raise EngineError(f'{self.name} lacks the inputs {", ".join(missing)}; prepare sweeps as the bundle says')
        sent = {name: np.ascontiguousarray(inputs[name]) for name in self.input_names}
        for name, values in sent.items():
            smallest, _, largest = self._profile[self._rows[name]]
            if not smallest <= len(values) <= largest:
                raise EngineError(f'{self.name} was built for {smallest} to {largest} {self._rows[name]}, '
                                  f'got {len(values)}; set a larger profile in bundle.yaml')
            if not context.set_input_shape(name, values.shape):
                raise EngineError(f'{self.name} refused {name} of shape {list(values.shape)}; export the model again')
            context.set_tensor_address(name, memory.send(name, values))
        results = {}
        for name in self._outputs:
            shape = tuple(context.get_tensor_shape(name))
            results[name] = np.empty(shape, self._trt.nptype(self._engine.get_tensor_dtype(name)))
            context.set_tensor_address(name, memory.reserve(name, results[name].nbytes))
        if not context.execute_async_v3(int(memory.stream)):
            raise EngineError(f'{self.name} could not start; its log says why')
        for name in self._outputs:
            if name in outputs or (name == 'scores' and 'class_id' not in self._outputs):
                memory.fetch(name, results[name])
        memory.wait()
        if 'class_id' in outputs and 'class_id' not in results:
            results['class_id'] = (results['scores'].argmax(1) + 1).astype(np.uint8)
        unknown = [name for name in outputs if name not in results]
        if unknown:
            raise EngineError(f'{self.name} has no output {", ".join(unknown)}; it has {", ".join(results)}')
        return [results[name] for name in outputs]
