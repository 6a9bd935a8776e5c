"""Sparse U-Net on a cylindrical partition (Zhu et al., Cylinder3D, 2021): asymmetric blocks, additive skips.

    v   = ReLU(linear(max over the points of a cell of MLP(f_i)))
    asymmetric block: N(a(1x3x3 x)) then 3x1x3, plus 3x1x3 then 1x3x3          (crossed kernels along the axes)
    down: kernel 3, stride 2 (the last two levels keep their height); up: the inverse on the same pairs
    context: y * (sigma N(3x1x1 y) + sigma N(1x3x1 y) + sigma N(1x1x3 y)), concatenated with y

Activations come before the norms, as in the paper's code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.frustum_range_net import scatter
from sam2amml_core.lidar.input_spec import CylinderInput
from sam2amml_core.lidar.preparation import CYLINDER_FEATURES
from sam2amml_core.lidar.sparse.convolution import ConvMap, SparseConv
from sam2amml_core.lidar.sparse.maps import Form, level_maps

FLAT, UPRIGHT = (1, 3, 3), (3, 1, 3)
"""Kernels over radius, azimuth, height: across azimuth and height, and across radius and height."""


@dataclass(frozen=True)
class CylinderUNetConfig:
    """Shape of the network; the defaults are Cylinder3D's. ``points`` are the widths of the point MLP."""

    classes: int = 19
    inputs: int = len(CYLINDER_FEATURES)
    points: tuple[int, ...] = (64, 128, 256)
    voxel: int = 16
    width: int = 32
    space: CylinderInput = CylinderInput()


class ConvActNorm(nn.Module):
    """Convolution, LeakyReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = SparseConv(inputs, outputs, kernel)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, sites: ConvMap) -> Tensor:
        return self.norm(F.leaky_relu(self.conv(x, sites)))


class AsymmetricBlock(nn.Module):
    """Two crossed pairs of asymmetric convolutions, added; ``first`` and ``second`` are the kernels of one pair."""

    def __init__(self, inputs: int, outputs: int, first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
        super().__init__()
        self.left = nn.ModuleList((ConvActNorm(inputs, outputs, first), ConvActNorm(outputs, outputs, second)))
        self.right = nn.ModuleList((ConvActNorm(inputs, outputs, second), ConvActNorm(outputs, outputs, first)))

    def forward(self, x: Tensor, sites: ConvMap) -> Tensor:
        left = self.left[1](self.left[0](x, sites), sites)
        return left + self.right[1](self.right[0](x, sites), sites)


class UpBlock(nn.Module):
    """Convolution, inverse convolution, plus the skip, then three convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = ConvActNorm(inputs, outputs, (3, 3, 3))
        self.inverse = SparseConv(outputs, outputs)
        self.after = nn.ModuleList(ConvActNorm(outputs, outputs, kernel) for kernel in (FLAT, UPRIGHT, (3, 3, 3)))

    def forward(self, x: Tensor, skip: Tensor, coarse: ConvMap, up: ConvMap, fine: ConvMap) -> Tensor:
        x = self.inverse(self.before(x, coarse), up) + skip
        for layer in self.after:
            x = layer(x, fine)
        return x


class Context(nn.Module):
    """Dimension-decomposition context: x times the sum of three gates, one along each axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(SparseConv(channels, channels, k) for k in ((3, 1, 1), (1, 3, 1), (1, 1, 3)))
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(3))

    def forward(self, x: Tensor, sites: ConvMap) -> Tensor:
        gates = [torch.sigmoid(norm(gate(x, sites))) for gate, norm in zip(self.gates, self.norms, strict=True)]
        return x * (gates[0] + gates[1] + gates[2])


class CylinderUNet(Backbone):
    """See the module. Set ``form`` to 'spconv' to run on spconv's CUDA kernels."""

    def __init__(self, config: CylinderUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.classes = config.classes
        self.input_spec = config.space
        self.feature_channels = 4 * config.width
        self.form: Form = 'pairs'
        layers: list[nn.Module] = [nn.BatchNorm1d(config.inputs)]
        before = config.inputs
        for width in config.points:
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        self.points = nn.Sequential(*layers)
        self.compress = nn.Sequential(nn.Linear(before, config.voxel), nn.ReLU())
        width, levels = config.width, len(config.space.strides)
        widths = [width * 2 ** level for level in range(levels + 1)]
        self.stem = AsymmetricBlock(config.voxel, width, FLAT, UPRIGHT)
        self.encoder = nn.ModuleList(AsymmetricBlock(a, b, UPRIGHT, FLAT)
                                     for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(SparseConv(b, b) for b in widths[1:])
        outputs = list(reversed(widths[1:]))
        self.decoder = nn.ModuleList(UpBlock(a, b) for a, b in zip((outputs[0], *outputs[:-1]), outputs, strict=True))
        self.context = Context(2 * width)
        self.classifier = SparseConv(4 * width, config.classes, bias=True)

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        levels = len(self.down)
        maps = level_maps(inputs, levels, self.form)
        point = inputs['voxel']
        cells = inputs['near_0'].shape[0]
        x = self.compress(scatter(self.points(inputs['features']), point, cells, 'amax'))
        x = self.stem(x, maps.near[0])
        skips = []
        for level in range(levels):
            x = self.encoder[level](x, maps.near[level])
            skips.append(x)
            x = self.down[level](x, maps.down[level])
        for step, level in enumerate(reversed(range(levels))):
            x = self.decoder[step](x, skips[level], maps.near[level + 1], maps.up[level], maps.near[level])
        x = torch.cat((self.context(x, maps.near[0]), x), dim=1)
        scores = self.classifier(x, maps.near[0])
        return scores.index_select(0, point), x.index_select(0, point)

    def prepare_export(self) -> None:
        super().prepare_export()
        self.form = 'tables'
