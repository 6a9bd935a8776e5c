"""Batch norms in evaluation are affine maps; inference folds them into the layer before."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The affine map of a batch norm in evaluation: y = scale * x + shift."""
    if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_var is None or norm.running_mean is None:
        raise TypeError(f'{type(norm).__name__} keeps no running statistics')
    with torch.no_grad():
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            scale = norm.weight * scale
        shift = -norm.running_mean * scale
        return scale, norm.bias + shift if norm.affine else shift
