"""Sparse U-Net in the MinkUNet layout (Choy et al., 2019, as sized by SPVNAS, Tang et al., 2020), Cartesian voxels.

    x_0 = stem(mean of the points of each voxel)
    x_l = blocks(halve(x_{l-1}))                            l = 1 .. 4, kernel 2, stride 2
    y_l = blocks([double(y_{l+1}), x_l])                    concatenated or added skips
    scores of a point = linear(y_0 of its voxel)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.input_spec import VoxelInput
from sam2amml_core.lidar.preparation import VOXEL_FEATURES
from sam2amml_core.lidar.sparse.convolution import ConvMap, plus
from sam2amml_core.lidar.sparse.layers import SparseConvNorm, fold_norms
from sam2amml_core.lidar.sparse.maps import Form, level_maps


@dataclass(frozen=True)
class MinkUNetConfig:
    """Shape of the network; the defaults are MinkUNet18-W32.

    ``stem_layers`` is 2 as in SPVNAS, 1 as in MinkowskiEngine's Res16UNet.
    ``blocks`` are the residual blocks of the encoder's levels: (2, 2, 2, 2) for MinkUNet18, (2, 3, 4, 6) for 34.
    """

    classes: int = 19
    inputs: int = len(VOXEL_FEATURES)
    stem: int = 32
    stem_layers: int = 2
    encoder: tuple[int, ...] = (32, 64, 128, 256)
    decoder: tuple[int, ...] = (256, 128, 96, 96)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    decoder_blocks: int = 2
    skips: Literal['concatenate', 'add'] = 'concatenate'
    voxel_m: float = 0.1

    @classmethod
    def of_width(cls, width: float, classes: int = 19, **changes: object) -> MinkUNetConfig:
        """The layout with all channels times ``width`` (1 = W32)."""
        base = cls()
        scaled = {name: tuple(int(width * c) for c in getattr(base, name)) for name in ('encoder', 'decoder')}
        values: dict = {'classes': classes, 'stem': int(width * base.stem), **scaled, **changes}
        return cls(**values)


class SparseResidual(nn.Module):
    """ReLU(conv(conv(x)) + x), with a projection of x where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = SparseConvNorm(inputs, outputs)
        self.second = SparseConvNorm(outputs, outputs, relu=False)
        self.project = None if inputs == outputs else SparseConvNorm(inputs, outputs, (1, 1, 1), relu=False)

    def forward(self, x: Tensor, sites: ConvMap) -> Tensor:
        kept = x if self.project is None else self.project(x, None)
        return F.relu(plus(self.second(self.first(x, sites), sites), kept), inplace=not torch.is_grad_enabled())


class Stage(nn.ModuleList):
    """Residual blocks, one after the other."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__(SparseResidual(inputs if i == 0 else outputs, outputs) for i in range(depth))

    def forward(self, x: Tensor, sites: ConvMap) -> Tensor:
        for block in self:
            x = block(x, sites)
        return x


class MinkUNet(Backbone):
    """See the module; levels are as many as the configuration has encoder widths.

    Set ``form`` to 'spconv' to run on spconv's CUDA kernels.
    """

    def __init__(self, config: MinkUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.classes = config.classes
        self.feature_channels = config.decoder[-1]
        self.input_spec = VoxelInput(voxel_m=config.voxel_m, halvings=len(config.encoder))
        self.form: Form = 'pairs'
        stem, encoder = config.stem, config.encoder
        self.stem = nn.ModuleList(SparseConvNorm(stem if i else config.inputs, stem) for i in range(config.stem_layers))
        self.down, self.encoder = nn.ModuleList(), nn.ModuleList()
        self.up, self.lateral, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = stem
        for width, depth in zip(encoder, config.blocks, strict=True):
            self.down.append(SparseConvNorm(before, before, (2, 2, 2)))
            self.encoder.append(Stage(before, width, depth))
            before = width
        for width, skip in zip(config.decoder, (*encoder[-2::-1], stem), strict=True):
            self.up.append(SparseConvNorm(before, width, (2, 2, 2)))
            joined = width + skip if config.skips == 'concatenate' else width
            fits = config.skips == 'concatenate' or width == skip
            self.lateral.append(nn.Identity() if fits else nn.Linear(skip, width))
            self.decoder.append(Stage(joined, width, config.decoder_blocks))
            before = width
        self.classifier = nn.Linear(before, config.classes)

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        voxels = self.features(inputs)
        point = inputs['voxel']
        return self.classifier(voxels).index_select(0, point), voxels.index_select(0, point)

    def features(self, inputs: dict[str, Tensor]) -> Tensor:
        """Features [M, decoder[-1]] of the finest voxels."""
        levels = len(self.down)
        maps = level_maps(inputs, levels, self.form)
        x = inputs['features']
        for layer in self.stem:
            x = layer(x, maps.near[0])
        skips = [x]
        for level in range(levels):
            x = self.down[level](x, maps.down[level])
            x = self.encoder[level](x, maps.near[level + 1])
            skips.append(x)
        for step, level in enumerate(reversed(range(levels))):
            x = self.up[step](x, maps.up[level])
            skip = self.lateral[step](skips[level])
            x = torch.cat((x, skip), dim=1) if self.config.skips == 'concatenate' else x + skip
            x = self.decoder[step](x, maps.near[level])
        return x

    def fold(self) -> None:
        fold_norms(self)

    def prepare_export(self) -> None:
        super().prepare_export()
        self.form = 'tables'
