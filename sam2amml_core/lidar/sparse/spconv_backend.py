"""spconv as the engine of our sparse convolutions: on CUDA only, from our own tables, with the same weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sam2amml_core.errors import EngineError
from sam2amml_core.lidar.sparse.convolution import PairMap


def require_spconv(device: torch.device) -> None:
    """Raise ``EngineError`` with the reason where spconv must not or cannot be used."""
    if device.type != 'cuda':
        raise EngineError('spconv is refused on a CPU: its CPU build gives wrong sums with more than one thread '
                          '(spconv issue 679) and cannot run backward; use the native sparse operations, which can')
    _functional()


class SpconvMap:
    """The pairs of a ``PairMap`` in spconv's form; ``convolve`` runs its native gather-GEMM-scatter."""

    def __init__(self, pairs: PairMap) -> None:
        require_spconv(pairs.device)
        self._set(pairs, pairs.device)

    def _set(self, pairs: PairMap, device: torch.device) -> None:
        taps = len(pairs.sources)
        whole = torch.arange(pairs.outputs, dtype=torch.int32, device=device)
        self.outputs = pairs.outputs
        self.table = torch.full((2, taps, max(pairs.inputs, pairs.outputs)), -1, dtype=torch.int32, device=device)
        counts = []
        for tap, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            rows = (whole, whole) if source is None or target is None else (source, target)
            counts.append(len(rows[0]))
            for side in range(2):
                self.table[side, tap, :counts[-1]] = rows[side]
        self.count = torch.tensor(counts, dtype=torch.int32, device=device)

    def convolve(self, x: Tensor, weight: Tensor, taps: tuple[int, ...]) -> Tensor:
        """As ``ConvMap.convolve``; autograd is spconv's."""
        functional, algorithm = _functional()
        chosen = torch.tensor(taps, device=x.device)
        filters = weight.permute(2, 0, 1)[:, :, None, None].contiguous()  # (out, taps, 1, 1, in)
        return functional.indice_conv(x.contiguous(), filters, self.table[:, chosen].contiguous(), self.count[chosen],
                                      self.outputs, algorithm)


def _functional() -> tuple[Any, Any]:
    try:
        from spconv.core import ConvAlgo
        from spconv.pytorch import functional
    except ImportError as error:
        raise EngineError(f'spconv is not installed ({error}); install the spconv-cu1xx that fits your CUDA, or use '
                          'the native sparse operations') from error
    return functional, ConvAlgo.Native
