"""Reductions over groups of points (the points of a mask, say) without a loop over the groups."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """Sums of rows of ``values`` [P, ...] with the same ``segment`` int64 [P] in 0..count-1: [count, ...]."""
    sums = torch.zeros((count, *values.shape[1:]), dtype=values.dtype, device=values.device)
    return sums.index_add(0, segment, values)


def segment_mean(values: Tensor, weight: Tensor, segment: Tensor, count: int) -> Tensor:
    """Means of rows of ``values`` [P, C] weighted by ``weight`` [P], by segment: [count, C]; 0 without weight."""
    total = segment_sum(weight, segment, count)
    return segment_sum(values * weight[:, None], segment, count) / total.clamp(min=1e-12)[:, None]
