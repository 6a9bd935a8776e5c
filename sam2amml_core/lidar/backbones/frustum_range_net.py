"""Frustum-range network for two cores: point MLP, range-image CNN, point fusion (after FRNet, Xu et al., 2023).

    e_i = MLP([f_i, f_i - mean_F(f)])             point features, F the frustum of point i
    F   = [max_F(e), mean_F(f), occupied]         frustum features, an image of H x W cells
    G   = CNN(F)                                  U-Net, circular in azimuth
    o_i = MLP(e_i, G_F(i))                        class scores of every single point

Means are sums divided by counts and all reductions are ``scatter_reduce``, so the graph exports to standard ONNX
operators (``ScatterElements`` with a reduction) with a dynamic number of points.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.norms import scale_and_shift

SCATTER_WIDTH = 8
"""Channels scattered at once: on a CPU, ONNX Runtime takes longer per channel the more there are."""

WIDE = 64
"""Values of more channels are scattered so many at once: there, hundreds of small scatters would cost more."""


@dataclass(frozen=True)
class FrustumRangeNetConfig:
    """Shape of the network; the defaults serve a 64-beam LiDAR in real time on two CPU cores."""

    height: int = 64
    width: int = 512
    classes: int = 19
    features: int = 7
    point_channels: int = 16
    channels: tuple[int, ...] = (32, 64, 96, 128)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    head_channels: int = 32


class CircularConv(nn.Module):
    """3x3 convolution + batch norm + ReLU over a range image that closes in azimuth: circular columns, zero rows."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = _Closed.apply(x) if self.training else _closed(x)
        x = self.norm(self.conv(x))
        return F.relu(x) if self.relu else x


def _closed(x: Tensor) -> Tensor:
    return torch.cat((x[..., -1:], x, x[..., :1]), dim=-1)


class _Closed(torch.autograd.Function):
    """``_closed`` whose gradient is one copy instead of a sum of three whole images."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _closed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (outer,) = gradients
        inner = outer[..., 1:-1].clone()
        inner[..., -1] += outer[..., 0]
        inner[..., 0] += outer[..., -1]
        return inner


class ResidualBlock(nn.Module):
    """x + conv(conv(x)), then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = CircularConv(channels, channels)
        self.second = CircularConv(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class RangeUNet(nn.Module):
    """Image CNN: residual encoder with stride 2 per level, decoder with additive skips.

    [B, inputs, H, W] -> [B, channels[0], H, W]
    """

    def __init__(self, inputs: int, channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = CircularConv(inputs, channels[0])
        self.encoder = nn.ModuleList()
        self.lateral = nn.ModuleList()
        self.decoder = nn.ModuleList()
        before = channels[0]
        for level, (width, depth) in enumerate(zip(channels, blocks, strict=True)):
            stages: list[nn.Module] = [] if level == 0 else [CircularConv(before, width, stride=2)]
            stages += [ResidualBlock(width) for _ in range(depth)]
            self.encoder.append(nn.Sequential(*stages))
            before = width
        for fine, coarse in pairwise(channels):
            self.lateral.append(nn.Conv2d(coarse, fine, 1))
            self.decoder.append(CircularConv(fine, fine))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for level in reversed(range(len(self.decoder))):
            fine = skips[level]
            up = F.interpolate(self.lateral[level](x), scale_factor=2.0, mode='nearest')
            x = self.decoder[level](fine + up)
        return x


class PointLayer(nn.Module):
    """Linear + batch norm (+ ReLU) over points [N, C]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.linear(x)))


class FrustumRangeNet(nn.Module):
    """Class scores for every point of B sweeps that are joined along the point axis."""

    def __init__(self, config: FrustumRangeNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.point_channels
        head = config.head_channels
        self.point_in: nn.Module = PointLayer(2 * config.features, width)
        self.point_out: nn.Module = PointLayer(width, width)
        self.image = RangeUNet(width + config.features + 1, config.channels, config.blocks)
        # a linear layer of the frustum features commutes with gathering them, and there are fewer frusta than points
        self.head_image = nn.Conv2d(config.channels[0], head, 1, bias=False)
        self.head_point: nn.Module = nn.Linear(width, head, bias=False)
        self.head_norm: nn.Module = nn.BatchNorm1d(head)
        self.classifier = nn.Linear(head, config.classes)

    def forward(self, features: Tensor, pixel: Tensor, sweeps: int = 1) -> Tensor:
        """Scores [N, classes] of points with ``features`` float32 [N, F] in the cells ``pixel`` int64 [N].

        With several sweeps, ``pixel`` of sweep b is offset by ``b * height * width``.
        """
        return self.classifier(self.embed(features, pixel, sweeps))

    def embed(self, features: Tensor, pixel: Tensor, sweeps: int = 1) -> Tensor:
        """Features [N, head_channels] of every point, before the classifier; arguments as for ``forward``."""
        config = self.config
        cells = sweeps * config.height * config.width
        ones = torch.ones_like(features[:, :1])
        sums = scatter(torch.cat((features, ones), 1), pixel, cells, 'sum')
        count = sums[:, -1:]
        mean = sums[:, :-1] / count.clamp(min=1)
        occupied = count.clamp(max=1)
        points = self.point_out(self.point_in(torch.cat((features, features - mean.index_select(0, pixel)), 1)))
        frusta = torch.cat((scatter(points, pixel, cells, 'amax'), mean, occupied), 1)
        image = frusta.reshape(sweeps, config.height, config.width, -1).permute(0, 3, 1, 2)
        image = self.head_image(self.image(image))
        context = image.permute(0, 2, 3, 1).reshape(cells, -1)
        return F.relu(self.head_norm(self.head_point(points) + context.index_select(0, pixel)))

    def fold_norms(self) -> None:
        """Fold the batch norms of point layers into their linear layers, in place; for inference only.

        Those of convolutions are left to the runtimes, which fold them.
        """
        self.point_in = nn.Sequential(_folded(self.point_in.linear, self.point_in.norm), nn.ReLU())
        self.point_out = nn.Sequential(_folded(self.point_out.linear, self.point_out.norm), nn.ReLU())
        norm = self.head_norm
        with torch.no_grad():
            self.head_image.weight.mul_(scale_and_shift(norm)[0][:, None, None, None])
        self.head_point, self.head_norm = _folded(self.head_point, norm), nn.Identity()


def _folded(linear: Any, norm: Any) -> nn.Linear:
    result = nn.Linear(linear.in_features, linear.out_features)
    scale, shift = scale_and_shift(norm)
    with torch.no_grad():
        result.weight.copy_(linear.weight * scale[:, None])
        result.bias.copy_(shift if linear.bias is None else linear.bias * scale + shift)
    return result


def scatter(values: Tensor, index: Tensor, cells: int, reduce: str, empty_value: float = 0.0) -> Tensor:
    """Reduce rows of ``values`` [N, C] that share an ``index`` [N] into [cells, C]; empty cells are ``empty_value``.

    ``amax`` starts from there too, so it expects values that are not below.
    """
    parts = []
    for part in values.split(SCATTER_WIDTH if values.shape[1] <= WIDE else WIDE, dim=1):
        empty = torch.full((cells, part.shape[1]), empty_value, dtype=part.dtype, device=part.device)
        parts.append(empty.scatter_reduce(0, index[:, None].expand_as(part), part, reduce, include_self=True))
    return torch.cat(parts, 1)
