"""The network itself in torch: the pair form of sparse convolutions, on CUDA or CPU; compiled if asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from sam2amml_core.bundle import WEIGHTS_FILE, ModelBundle, sha256_of
from sam2amml_core.errors import EngineError
from sam2amml_core.lidar.input_spec import RangeInput, TokenInput

logger = logging.getLogger(__name__)


def missing_for_torch(bundle: ModelBundle) -> str:
    """Why a bundle cannot run in torch; empty if it can, as far as its files go."""
    if not bundle.spec.backbone or not (bundle.path / WEIGHTS_FILE).is_file():
        return f'{bundle.name} carries no torch weights'
    try:
        import torch  # noqa: F401
    except ImportError:
        return 'torch is not installed'
    return ''


class TorchEngine:
    """A bundle's weights in the catalogue's network.

    device   'cuda', 'cpu', or '' for CUDA where it works
    compile  name of a torch compiler ('inductor'), or '' for none; the first sweep then takes a minute or more. Not for
             sparse networks, whose lists of pairs it would compile tap by tap
    Raises ``EngineError`` if torch, the weights or the device are missing.
    """

    reason = 'asked for, or the only engine with a GPU here'

    def __init__(self, bundle: ModelBundle, threads: int = 2, device: str = '', compile: str = '') -> None:
        reason = missing_for_torch(bundle)
        if reason:
            raise EngineError(f'engine "torch" is not available: {reason}; export with --weights and install the extra '
                              '[train], or use engine "cpu"')
        if sha256_of(bundle.path / WEIGHTS_FILE) != bundle.spec.weights_sha256:
            raise EngineError(f'{bundle.path / WEIGHTS_FILE} is damaged or of another bundle; export the model again')
        if compile and not isinstance(bundle.input, RangeInput | TokenInput):
            raise EngineError(f'{bundle.name} is a sparse network, which takes longer to compile than it saves; '
                              'use engine "torch"')
        import torch

        from sam2amml_core.lidar.backbones.catalogue import create

        if device == 'cuda' and not torch.cuda.is_available():
            raise EngineError('torch finds no CUDA device; use device "cpu" or engine "cpu"')
        self._torch = torch
        self._device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        if self._device.type == 'cpu':
            torch.set_num_threads(threads)
        self._network = create(bundle.spec.backbone, len(bundle.spec.classes) - 1, bundle.sensor).eval()
        state = torch.load(bundle.path / WEIGHTS_FILE, map_location='cpu', weights_only=True)
        self._network.load_state_dict(state)
        self._network.fold()
        self._network.to(self._device)
        self._predict = torch.compile(
            self._network.predict, dynamic=True, backend=compile) if compile else self._network.predict
        suffix = f', {threads} thread{"s" if threads > 1 else ""}' if self._device.type == 'cpu' else ''
        self.name = f'torch {torch.__version__} on {self._device.type}{suffix}{", compiled" if compile else ""}'
        logger.info('%s runs in %s', bundle.name, self.name)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Named arrays in; ``class_id``, ``probability`` or ``scores`` out. Raises ``EngineError`` on other names."""
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = {name: torch.from_numpy(np.ascontiguousarray(a)).to(self._device)
                           for name, a in inputs.items()}
                scores, _ = self._predict(tensors)
                best = scores.max(1)
                found = {'scores': scores, 'class_id': (best.indices + 1).to(torch.uint8)}
                if 'probability' in outputs:
                    found['probability'] = (scores - best.values[:, None]).exp().sum(1).reciprocal()
                return [found[name].cpu().numpy() for name in outputs]
        except (KeyError, RuntimeError, IndexError) as error:
            shapes = {k: f'{v.dtype}{list(v.shape)}' for k, v in inputs.items()}
            raise EngineError(f'{self.name} refused {shapes} for {", ".join(outputs)}: '
                              f'{str(error).splitlines()[0][:300]}') from error
