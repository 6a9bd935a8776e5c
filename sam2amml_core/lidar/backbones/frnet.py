"""FRNet at full size, in its published layout (Xu et al., FRNet: Frustum-Range Networks, 2023); 10 M weights.

    e_i = MLP([f_i, |x_i|, x_i - mean_F(x)])        frustum feature encoder, F the frustum of point i
    G_0 = stem(max_F e), p_0 = fuse(e, G_0)         image and points go side by side ...
    G_l = ResNet stage, p_l = fuse(p_{l-1}, G_l)    ... and are fused after each of four stages, frustum to point
    G_l += attention(fuse(max_F p_l, G_l)) * fuse   ... and point to frustum, with a residual attention
    o_i = linear(head(G_F(i)) + p + e ...)          head with the encoder's point features added back

The image is padded with zeros. The published network takes metres and raw intensity: no normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.frustum_range_net import scatter
from sam2amml_core.lidar.input_spec import RangeInput

EPS, MOMENTUM = 1e-3, 0.01
NOTHING = -3.0e4
"""Below every feature and inside half precision: where maxima of signed features begin."""


@dataclass(frozen=True)
class FRNetConfig:
    """Shape of the network; the defaults are the published ones for 64 beams."""

    height: int = 64
    width: int = 512
    classes: int = 19
    encoder: tuple[int, ...] = (64, 128, 256, 256)
    compressed: int = 16
    channels: int = 128
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    fuse: tuple[int, ...] = (256, 128)
    head: tuple[int, ...] = (128, 256, 128, 64)


def point_layer(inputs: int, outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU over points."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, EPS, MOMENTUM), nn.ReLU())


def image_layer(inputs: int, outputs: int, last: type[nn.Module] = nn.Hardswish) -> nn.Sequential:
    """3x3 convolution, batch norm, activation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                         nn.BatchNorm2d(outputs, EPS, MOMENTUM), last())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs, EPS, MOMENTUM)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs, EPS, MOMENTUM)
        self.shortcut = nn.Sequential() if stride == 1 and inputs == outputs else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, EPS, MOMENTUM))

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.first_norm(self.first(x)))
        return F.hardswish(self.second_norm(self.second(y)) + self.shortcut(x))


class FRNet(Backbone):
    """See the module."""

    def __init__(self, config: FRNetConfig) -> None:
        super().__init__()
        self.config = config
        self.input_spec = RangeInput()
        self.classes = config.classes
        self.feature_channels = config.head[-1]
        self.image_size = (config.height, config.width)
        width, stages = config.channels, len(config.blocks)
        widths = (8, *config.encoder)
        self.pre_norm = nn.BatchNorm1d(8, EPS, MOMENTUM)
        self.encoder = nn.ModuleList(point_layer(a, b) for a, b in zip(widths[:-2], widths[1:-1], strict=True))
        self.encoder_out = nn.Linear(widths[-2], widths[-1])
        self.compress = nn.Linear(widths[-1], config.compressed)
        self.stem = nn.Sequential(*image_layer(config.compressed, width // 2), *image_layer(width // 2, width),
                                  *image_layer(width, width))
        self.point_stem = point_layer(width + widths[-1], width)
        self.image_stem = image_layer(2 * width, width)
        self.stages = nn.ModuleList(nn.Sequential(*(ResidualBlock(width, width, stride if i == 0 else 1)
                                                    for i in range(depth)))
                                    for depth, stride in zip(config.blocks, config.strides, strict=True))
        self.point_fusion = nn.ModuleList(point_layer(2 * width, width) for _ in range(stages))
        self.image_fusion = nn.ModuleList(image_layer(2 * width, width) for _ in range(stages))
        self.attention = nn.ModuleList(nn.Sequential(*image_layer(width, width), *image_layer(width, width, nn.Sigmoid))
                                       for _ in range(stages))
        joined = (width * (stages + 1), *config.fuse)
        self.image_out = nn.ModuleList(image_layer(a, b) for a, b in zip(joined[:-1], joined[1:], strict=True))
        self.point_out = nn.ModuleList(point_layer(a, b) for a, b in zip(joined[:-1], joined[1:], strict=True))
        heads = (config.fuse[-1], *config.head)
        self.head = nn.ModuleList(point_layer(a, b) for a, b in zip(heads[:-1], heads[1:], strict=True))
        self.classifier = nn.Linear(config.head[-1], config.classes)

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        pixel = inputs['pixel']
        encoded, image = self._encode(inputs['features'], pixel, sweeps)
        x = self.stem(image)
        points = self.point_stem(torch.cat((_at(x, pixel), encoded[-1]), 1))
        x = self.image_stem(torch.cat((self._image(points, pixel, sweeps, 1), x), 1))
        images, every = [x], [points]
        stride = 1
        for number, stage in enumerate(self.stages):
            x = stage(x)
            stride *= self.config.strides[number]
            cell = self._coarse(pixel, stride)
            points = self.point_fusion[number](torch.cat((_at(x, cell), points), 1))
            fused = self.image_fusion[number](torch.cat((self._image(points, cell, sweeps, stride), x), 1))
            x = fused * self.attention[number](fused) + x
            size = (self.config.height, self.config.width)
            images.append(x if stride == 1 else F.interpolate(x, size, mode='bilinear', align_corners=True))
            every.append(points)
        x, points = torch.cat(images, 1), torch.cat(every, 1)
        for image_out, point_out in zip(self.image_out, self.point_out, strict=True):
            x, points = image_out(x), point_out(points)
        hidden = _at(x, pixel)
        for layer, extra in zip(self.head, (points, *reversed(encoded[:-1])), strict=True):
            hidden = layer(hidden) + extra
        return self.classifier(hidden), hidden

    def _encode(self, features: Tensor, pixel: Tensor, sweeps: int) -> tuple[list[Tensor], Tensor]:
        """Point features of every encoder layer, and the frusta as an image [B, compressed, H, W]."""
        cells = sweeps * self.config.height * self.config.width
        xyz = features[:, :3]
        sums = scatter(torch.cat((xyz, torch.ones_like(xyz[:, :1])), 1), pixel, cells, 'sum')
        count = sums[:, 3:]
        mean = (sums[:, :3] / count.clamp(min=1)).index_select(0, pixel)
        x = self.pre_norm(torch.cat((xyz, features[:, 4:5], features[:, 3:4], xyz - mean), 1))
        encoded = []
        for layer in self.encoder:
            x = layer(x)
            encoded.append(x)
        x = self.encoder_out(x)
        encoded.append(x)
        frusta = F.relu(self.compress(scatter(x, pixel, cells, 'amax', NOTHING)))
        frusta = frusta * count.clamp(max=1)
        return encoded, frusta.reshape(sweeps, self.config.height, self.config.width, -1).permute(0, 3, 1, 2)

    def _coarse(self, pixel: Tensor, stride: int) -> Tensor:
        """Cells in an image that is ``stride`` times smaller."""
        if stride == 1:
            return pixel
        width = self.config.width
        row = torch.div(pixel, width, rounding_mode='trunc')  # no remainder: fewer operators than // and %
        column = pixel - row * width
        return (torch.div(row, stride, rounding_mode='trunc') * (width // stride)
                + torch.div(column, stride, rounding_mode='trunc'))

    def _image(self, points: Tensor, cell: Tensor, sweeps: int, stride: int) -> Tensor:
        """Maxima of point features >= 0 over frusta, [B, C, H / stride, W / stride]."""
        height, width = self.config.height // stride, self.config.width // stride
        frusta = scatter(points, cell, sweeps * height * width, 'amax')
        return frusta.reshape(sweeps, height, width, -1).permute(0, 3, 1, 2)


def _at(image: Tensor, cell: Tensor) -> Tensor:
    """Features [N, C] of the cells of points, from [B, C, H, W]."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1]).index_select(0, cell)
