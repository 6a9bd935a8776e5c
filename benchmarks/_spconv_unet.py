"""MinkUNet on spconv, with the weights of ours: what our sparse convolutions are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import spconv.pytorch as spconv
import torch
from spconv.core import ConvAlgo
from torch import Tensor, nn

from sam2amml_core.lidar.backbones.minkunet import MinkUNet, SparseResidual
from sam2amml_core.lidar.sparse.layers import SparseConvNorm


class SpconvUNet:
    """The layers of a ``MinkUNet`` one by one, each run by spconv's native algorithm; evaluation only."""

    def __init__(self, network: MinkUNet) -> None:
        self.network = network
        self.layers: dict[int, Any] = {}

    def __call__(self, features: Tensor, cells: np.ndarray) -> Tensor:
        """Features of the voxels ``cells`` int [M, 3], from 0 up -> features [M, D], in the order of ``cells``."""
        network = self.network
        indices = torch.from_numpy(np.concatenate((np.zeros((len(cells), 1), np.int32), cells), axis=1))
        whole = 1 << len(network.down)  # spconv drops what an odd size leaves over
        shape = (-(-(cells.max(axis=0) + 1) // whole) * whole).tolist()
        x = spconv.SparseConvTensor(features, indices, shape, 1)
        for layer in network.stem:
            x = self._norm(layer, x, 'near0')
        skips = [x]
        for level, (down, stage) in enumerate(zip(network.down, network.encoder, strict=True)):
            x = self._norm(down, x, f'down{level}', stride=2)
            x = self._stage(stage, x, f'near{level + 1}')
            skips.append(x)
        levels = len(network.down)
        for step, level in enumerate(reversed(range(levels))):
            x = self._norm(network.up[step], x, f'down{level}', inverse=True)
            x = x.replace_feature(torch.cat((x.features, skips[level].features), 1))
            x = self._stage(network.decoder[step], x, f'near{level}')
        return x.features

    def _stage(self, stage: nn.Module, x: Any, key: str) -> Any:
        for block in stage.children():
            if not isinstance(block, SparseResidual):
                raise TypeError(f'{type(block).__name__} is not a residual block')
            kept = x if block.project is None else self._norm(block.project, x, 'point')
            y = self._norm(block.second, self._norm(block.first, x, key), key)
            x = y.replace_feature(torch.relu_(y.features + kept.features))
        return x

    def _norm(self, layer: nn.Module, x: Any, key: str, stride: int = 1, inverse: bool = False) -> Any:
        if not isinstance(layer, SparseConvNorm):
            raise TypeError(f'{type(layer).__name__} is not a sparse convolution')
        peer = self.layers.get(id(layer))
        if peer is None:
            peer = self.layers[id(layer)] = _peer(layer, key, stride, inverse)
        y = peer(x)
        features = layer.norm(y.features)
        return y.replace_feature(torch.relu_(features) if layer.relu else features)


def _peer(layer: SparseConvNorm, key: str, stride: int, inverse: bool) -> Any:
    outputs, *kernel, inputs = layer.conv.weight.shape
    if kernel == [1, 1, 1]:
        # spconv multiplies by the weight of a kernel of 1 as if it were (in, out)
        matrix = layer.conv.weight.detach().reshape(outputs, inputs).t().contiguous()
        return lambda x: x.replace_feature(x.features @ matrix)
    if inverse:
        made = spconv.SparseInverseConv3d(inputs, outputs, kernel, key, bias=False, algo=ConvAlgo.Native)
    elif stride == 1:
        made = spconv.SubMConv3d(inputs, outputs, kernel, bias=False, indice_key=key, algo=ConvAlgo.Native)
    else:
        made = spconv.SparseConv3d(inputs, outputs, kernel, stride, bias=False, indice_key=key, algo=ConvAlgo.Native)
    with torch.no_grad():
        made.weight.copy_(layer.conv.weight.reshape(made.weight.shape))
    return made.eval()
