"""Layers of sparse networks: convolution with batch norm, and folding one into the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.norms import scale_and_shift
from sam2amml_core.lidar.sparse.convolution import ConvMap, SparseConv


class SparseConvNorm(nn.Module):
    """Sparse convolution, batch norm, and ReLU if asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int] = (3, 3, 3), relu: bool = True) -> None:
        super().__init__()
        self.conv = SparseConv(inputs, outputs, kernel)
        self.norm: nn.Module = nn.BatchNorm1d(outputs)
        self.relu = relu

    def forward(self, x: Tensor, sites: ConvMap | None) -> Tensor:
        y = self.norm(self.conv(x, sites))
        return F.relu(y, inplace=not torch.is_grad_enabled()) if self.relu else y

    def fold(self) -> None:
        """Fold the batch norm into the convolution, in place; for inference only."""
        if isinstance(self.norm, nn.BatchNorm1d):
            scale, shift = scale_and_shift(self.norm)
            with torch.no_grad():
                self.conv.weight.mul_(scale[:, None, None, None, None])
            self.conv.bias = nn.Parameter(shift)
            self.norm = nn.Identity()


def fold_norms(network: nn.Module) -> None:
    """Fold the batch norms of every ``SparseConvNorm`` inside ``network``, in place."""
    for module in network.modules():
        if isinstance(module, SparseConvNorm):
            module.fold()
