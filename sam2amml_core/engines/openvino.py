"""OpenVINO behind the engine protocol: the fast way on Intel CPUs, in bfloat16 where their matrix units have it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.engines.engine import in_short, refused
from sam2amml_core.errors import EngineError

logger = logging.getLogger(__name__)


def has_openvino() -> bool:
    """Whether the package is installed."""
    return find_spec('openvino') is not None


class OpenVinoEngine:
    """A bundle's ONNX file compiled for the CPU; bfloat16 if the CPU multiplies it natively, else single precision.

    Raises ``EngineError`` if OpenVINO is not installed or refuses the file.
    """

    reason = 'asked for'

    def __init__(self, bundle: ModelBundle, threads: int = 2) -> None:
        try:
            import openvino
        except ImportError as error:
            raise EngineError(f'OpenVINO is not installed ({error}); install the extra [openvino], '
                              'or use engine "auto"') from error
        core = openvino.Core()
        precision = 'bf16' if 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES') else 'f32'
        try:
            compiled = core.compile_model(str(bundle.onnx_path), 'CPU', {
                'PERFORMANCE_HINT': 'LATENCY', 'NUM_STREAMS': 1, 'INFERENCE_NUM_THREADS': threads,
                'INFERENCE_PRECISION_HINT': precision})
        except RuntimeError as error:
            raise EngineError(f'OpenVINO {openvino.__version__} cannot load {bundle.onnx_path}: {in_short(error)}; '
                              'export the model again, or use engine "cpu"') from error
        self._request = compiled.create_infer_request()
        self.input_names = tuple(port.any_name for port in compiled.inputs)
        self._outputs = {name: port for port in compiled.outputs for name in port.names}
        self._types = {port.any_name: np.dtype(port.element_type.to_dtype()) for port in compiled.inputs}
        suffix = f'{threads} thread{"s" if threads > 1 else ""}, {precision}'
        self.name = f'openvino {openvino.__version__.split("-")[0]} on cpu, {suffix}'
        logger.info('%s runs in %s', bundle.name, self.name)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Named arrays in, named arrays out. Raises ``EngineError`` on arrays the network does not take."""
        wrong = [name for name in self.input_names if name not in inputs or inputs[name].dtype != self._types[name]]
        try:
            if wrong or len(inputs) != len(self.input_names) or not self._outputs.keys() >= set(outputs):
                raise RuntimeError('names or types differ')
            found = self._request.infer({name: np.ascontiguousarray(values) for name, values in inputs.items()})
            return [np.array(found[self._outputs[name]]) for name in outputs]  # copies: the request reuses its memory
        except RuntimeError as error:
            raise refused(self.name, inputs, error, f'the network takes {", ".join(self.input_names)}') from error
