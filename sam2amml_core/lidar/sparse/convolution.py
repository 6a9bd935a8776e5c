"""Sparse convolution in torch: forward and backward from index tables, in two forms that give the same numbers.

    y_o = sum_k W_k x_i(o, k)        over the taps k for which output site o has an input site i

``PairMap`` visits only pairs that exist (gather, matrix product, scatter; for training and for CPUs); ``TableMap``
gathers all K taps with zero rows for missing sites, which wastes arithmetic but needs nothing but Gather and MatMul in
an exported graph. Weights have spconv's layout (out, kd, kh, kw, in).
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sam2amml_core.lidar.sparse.tables import CENTRE, TAPS

GATHERED_TAPS = 9
"""Taps that ``TableMap`` gathers at once; more need more memory."""


class ConvMap(Protocol):
    """Which input sites make up which output site."""

    def convolve(self, x: Tensor, weight: Tensor, taps: tuple[int, ...]) -> Tensor:
        """x [M_in, C_in], weight [len(taps), C_in, C_out] of the kernel's ``taps`` -> [M_out, C_out]."""


class PairMap:
    """The pairs that exist, tap by tap; ``sources[k]`` and ``targets[k]`` int64, rows of the input and output.

    A tap that takes every site to itself has None for both.
    """

    def __init__(self, sources: list[Tensor | None], targets: list[Tensor | None], inputs: int, outputs: int) -> None:
        self.sources = sources
        self.targets = targets
        self.inputs = inputs
        self.outputs = outputs

    @classmethod
    def of(cls, table: Tensor, inputs: int) -> PairMap:
        """Pairs of a table [M_out, K] (see ``sparse.tables``) into ``inputs`` sites."""
        by_tap = table.t().contiguous()
        tap, target = by_tap.nonzero(as_tuple=True)
        source = by_tap[tap, target].long() - 1
        ends = (by_tap != 0).sum(1).tolist()
        sources: list[Tensor | None] = list(source.split(ends))
        targets: list[Tensor | None] = list(target.split(ends))
        if len(ends) == TAPS and inputs == len(table) == ends[CENTRE]:  # submanifold: the centre is the site itself
            sources[CENTRE] = targets[CENTRE] = None
        return cls(sources, targets, inputs, len(table))

    @property
    def device(self) -> torch.device:
        """Where the pairs lie."""
        return next((rows.device for rows in self.sources if rows is not None), torch.device('cpu'))

    def transposed(self) -> PairMap:
        """The map of the inverse convolution: the same pairs and taps, the other way."""
        return PairMap(self.targets, self.sources, self.outputs, self.inputs)

    def convolve(self, x: Tensor, weight: Tensor, taps: tuple[int, ...]) -> Tensor:
        return _PairConvolution.apply(x, weight, self, taps)


class TableMap:
    """The table [M_out, K] as it is; for graphs that are exported."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def convolve(self, x: Tensor, weight: Tensor, taps: tuple[int, ...]) -> Tensor:
        padded = torch.cat((torch.zeros_like(x[:1]), x))
        inputs = x.shape[1]
        result = None
        for first in range(0, len(taps), GATHERED_TAPS):
            chosen = taps[first:first + GATHERED_TAPS]
            columns = self.table.index_select(1, torch.tensor(chosen, device=x.device))
            rows = padded.index_select(0, columns.reshape(-1)).reshape(-1, len(chosen) * inputs)
            part = rows @ weight[first:first + len(chosen)].reshape(len(chosen) * inputs, -1)
            result = part if result is None else result + part
        if result is None:
            raise ValueError('a convolution needs at least one tap')
        return result


class ParentMap:
    """The inverse of kernel 2, stride 2 for export: ``up`` int [M_out] = 8 * parent + tap."""

    def __init__(self, up: Tensor) -> None:
        self.up = up

    def convolve(self, x: Tensor, weight: Tensor, taps: tuple[int, ...]) -> Tensor:
        outputs = weight.shape[2]
        children = x @ weight.permute(1, 0, 2).reshape(x.shape[1], len(taps) * outputs)
        return children.reshape(-1, outputs).index_select(0, self.up)


class _PairConvolution(torch.autograd.Function):
    """Gather, matrix product, scatter; and the same for both gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pairs: PairMap, taps: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.pairs, ctx.taps = pairs, taps
        return _apply(x, weight, [(pairs.sources[k], pairs.targets[k]) for k in taps], pairs.outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        x, weight = ctx.saved_tensors
        pairs: PairMap = ctx.pairs
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            back = [(pairs.targets[k], pairs.sources[k]) for k in ctx.taps]
            by_x = _apply(gradient, weight.transpose(1, 2), back, pairs.inputs)
        if ctx.needs_input_grad[1]:
            by_weight = torch.stack([
                _rows(x, pairs.sources[k]).t() @ _rows(gradient, pairs.targets[k]).to(x.dtype) for k in ctx.taps])
        return by_x, by_weight, None, None


def _apply(x: Tensor, weight: Tensor, pairs: list[tuple[Tensor | None, Tensor | None]], rows: int) -> Tensor:
    dtype = torch.promote_types(x.dtype, weight.dtype)
    result = None
    for (_, target), matrix in zip(pairs, weight, strict=True):
        if target is None:
            result = (x @ matrix).to(dtype)
            break
    if result is None:
        result = torch.zeros(rows, weight.shape[2], dtype=dtype, device=x.device)
    for (source, target), matrix in zip(pairs, weight, strict=True):
        if source is not None and target is not None and len(source):
            result.index_add_(0, target, (x.index_select(0, source) @ matrix).to(dtype))
    return result


def _rows(x: Tensor, index: Tensor | None) -> Tensor:
    return x if index is None else x.index_select(0, index)



class SparseConv(nn.Module):
    """A convolution over the sites of a ``ConvMap``; which kind (submanifold, strided, inverse) is the map's business.

    kernel  (kd, kh, kw); taps of a smaller kernel than that of the map's table are its middle ones
    weight  [out, kd, kh, kw, in], as spconv has it
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int] = (3, 3, 3), bias: bool = False) -> None:
        super().__init__()
        self.kernel = kernel
        self.taps = taps_of(kernel)
        self.weight = nn.Parameter(torch.empty(outputs, *kernel, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        bound = math.sqrt(6 / (inputs * math.prod(kernel)))  # He et al., 2015, with the taps a LiDAR fills in mind
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor, sites: ConvMap | None) -> Tensor:
        """x [M_in, in] -> [M_out, out]; ``sites`` may be None for a kernel of 1, which needs none."""
        matrices = self.weight.flatten(1, 3).permute(1, 2, 0)
        y = x @ matrices[0] if sites is None else sites.convolve(x, matrices, self.taps)
        return y if self.bias is None else plus(y, self.bias)


def plus(fresh: Tensor, other: Tensor) -> Tensor:
    """fresh + other; in place where no gradient is asked for, which needs no new memory."""
    return fresh + other if torch.is_grad_enabled() else fresh.add_(other)


def taps_of(kernel: tuple[int, int, int]) -> tuple[int, ...]:
    """Columns of a table for kernel 3 (or 2) that a kernel of sizes 1 and 3 (or 2, 2, 2) uses."""
    if kernel == (2, 2, 2):
        return tuple(range(8))
    ranges = [range(3) if size == 3 else (1,) for size in kernel]
    return tuple(9 * d + 3 * h + w for d in ranges[0] for h in ranges[1] for w in ranges[2])
