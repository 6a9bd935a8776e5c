"""ONNX Runtime behind the engine protocol: CPU everywhere, CUDA and TensorRT where their providers really load."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort

from sam2amml_core.engines.engine import in_short, refused
from sam2amml_core.errors import EngineError

logger = logging.getLogger(__name__)

PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider', 'tensorrt': 'TensorrtExecutionProvider'}
REMEDY = 'install onnxruntime-gpu with a matching CUDA, or use engine "cpu"'


class OnnxFile(Protocol):
    """What is run: a ``ModelBundle``, or anything else with a name and an ONNX file."""

    @property
    def name(self) -> str: ...

    @property
    def onnx_path(self) -> Path: ...


class OnnxRuntimeEngine:
    """A bundle's ONNX file in an ONNX Runtime session.

    ``wanted`` is auto, cpu, cuda or tensorrt; ``others`` says why better engines were not taken.
    A provider may be listed by ONNX Runtime and still fail to load (no driver, wrong CUDA), in which case it silently
    runs on the CPU: so the provider that is really active is checked, ``auto`` then says that it fell back and an
    explicit wish raises ``EngineError``.
    """

    def __init__(self, bundle: OnnxFile, wanted: str = 'auto', threads: int = 2, others: Sequence[str] = ()) -> None:
        available = ort.get_available_providers()
        if wanted == 'auto':
            chosen = 'cuda' if PROVIDERS['cuda'] in available else 'cpu'
            self.reason = ('CUDA provider found' if chosen == 'cuda' else
                           f'no CUDA provider in this ONNX Runtime {ort.__version__}')
        else:
            chosen = wanted
            self.reason = 'asked for'
            if PROVIDERS[chosen] not in available:
                raise EngineError(f'engine {chosen!r} is not available: ONNX Runtime {ort.__version__} here offers '
                                  f'{", ".join(available)}; {REMEDY}')
        self._session = _open(bundle, chosen, threads)
        active = self._session.get_providers()
        if PROVIDERS[chosen] not in active:
            if wanted != 'auto':
                raise EngineError(f'engine {chosen!r} is installed but did not load (active: {", ".join(active)}); '
                                  f'check the GPU driver and CUDA libraries; {REMEDY}')
            self.reason = f'the {PROVIDERS[chosen]} is installed but did not load'
            chosen = 'cpu'
        self.reason = '; '.join((self.reason, *others))
        suffix = f', {threads} thread{"s" if threads > 1 else ""}' if chosen == 'cpu' else ''
        self.name = f'onnxruntime {ort.__version__} on {chosen}{suffix}'
        logger.info('%s runs in %s (%s)', bundle.name, self.name, self.reason)

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(i.name for i in self._session.get_inputs())

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Named arrays in, named arrays out. Raises ``EngineError`` on arrays the network does not take."""
        try:
            return self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise refused(self.name, inputs, error, f'the network takes {", ".join(self.input_names)}') from error


def _open(bundle: OnnxFile, chosen: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')  # leave the cores to others in between
    providers = [PROVIDERS[chosen]]
    if chosen == 'tensorrt':
        providers.append(PROVIDERS['cuda'])
    if chosen != 'cpu':
        providers.append(PROVIDERS['cpu'])
    try:
        return ort.InferenceSession(str(bundle.onnx_path), options, providers=providers)
    except Exception as error:  # as above
        raise EngineError(f'ONNX Runtime {ort.__version__} cannot load {bundle.onnx_path}: {in_short(error)}; '
                          'export the model again or update onnxruntime') from error
