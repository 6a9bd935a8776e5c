"""WaffleIron (Puy et al., Using a Waffle Iron for Automotive Point Cloud Semantic Segmentation, 2023).

    t   = W [A f_i ; max_j B(f_j - f_i)]                    embedding of token i and its neighbours j
    t  += scale * inflate(FFN(flatten(BN t)))               spatial mix: depthwise 3x3 over a flat grid along an axis
    t  += scale * MLP(BN t)                                 channel mix, token by token
    scores of a point = linear(t of its voxel)

``flatten`` is the mean of the tokens of a grid cell, a sum divided by a count; the three grids take turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.frustum_range_net import scatter
from sam2amml_core.lidar.backbones.norms import scale_and_shift
from sam2amml_core.lidar.input_spec import TokenInput
from sam2amml_core.lidar.preparation import TOKEN_FEATURES


@dataclass(frozen=True)
class WaffleIronConfig:
    """Shape of the network; the defaults are WaffleIron 48-256."""

    classes: int = 19
    inputs: int = len(TOKEN_FEATURES)
    channels: int = 256
    depth: int = 48
    space: TokenInput = TokenInput()


class Embedding(nn.Module):
    """Tokens [M, F] with neighbours [M, K] (the first is the token itself) -> [M, C]."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(inputs)
        self.point = nn.Linear(inputs, channels)
        self.offset_norm = nn.BatchNorm1d(inputs)
        self.offset_in = nn.Linear(inputs, channels, bias=False)
        self.hidden_norm: nn.Module = nn.BatchNorm1d(channels)
        self.offset_out = nn.Linear(channels, channels, bias=False)
        self.join = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        x = self.norm(x)
        count = near.shape[1] - 1
        offsets = x.index_select(0, near[:, 1:].reshape(-1)).reshape(-1, count, x.shape[1]) - x[:, None]
        hidden = self.offset_in(self.offset_norm(offsets.reshape(-1, x.shape[1])))
        hidden = self.offset_out(F.relu(self.hidden_norm(hidden)))
        around = hidden.reshape(-1, count, hidden.shape[1]).amax(1)
        return self.join(torch.cat((self.point(x), around), 1))


class ChannelMix(nn.Module):
    """t + scale * MLP(BN t)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm1d(channels)
        self.first = nn.Linear(channels, channels)
        self.second = nn.Linear(channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.scale * self.second(F.relu(self.first(self.norm(tokens))))


class SpatialMix(nn.Module):
    """t + scale * inflate(FFN(flatten(BN t))) over a grid of ``shape`` cells."""

    def __init__(self, channels: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.norm: nn.Module = nn.BatchNorm1d(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, tokens: Tensor, cell: Tensor, share: Tensor, sweeps: int) -> Tensor:
        """``share`` [M, 1]: one over the number of tokens in the token's cell."""
        height, width = self.shape
        cells = sweeps * height * width
        flat = scatter(self.norm(tokens) * share, cell, cells, 'sum')
        image = flat.reshape(sweeps, height, width, -1).permute(0, 3, 1, 2)
        image = self.second(F.relu(self.first(image)))
        mixed = image.permute(0, 2, 3, 1).reshape(cells, -1).index_select(0, cell)
        return tokens + self.scale * mixed


class WaffleIron(Backbone):
    """See the module."""

    def __init__(self, config: WaffleIronConfig) -> None:
        super().__init__()
        self.config = config
        self.classes = config.classes
        self.feature_channels = config.channels
        self.input_spec = config.space
        grids = config.space.grids
        self.embed = Embedding(config.inputs, config.channels)
        self.spatial_mix = nn.ModuleList(SpatialMix(config.channels, grids[i % 3]) for i in range(config.depth))
        self.channel_mix = nn.ModuleList(ChannelMix(config.channels) for _ in range(config.depth))
        self.classifier = nn.Linear(config.channels, config.classes)

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        cells = [inputs[f'cell_{axis}'] for axis in range(3)]
        shares = []
        for cell, (height, width) in zip(cells, self.config.space.grids, strict=True):
            ones = torch.ones_like(inputs['features'][:, :1])
            count = scatter(ones, cell, sweeps * height * width, 'sum')
            shares.append(count.clamp(min=1).reciprocal().index_select(0, cell))
        tokens = self.embed(inputs['features'], inputs['near'])
        for number, (spatial, channel) in enumerate(zip(self.spatial_mix, self.channel_mix, strict=True)):
            tokens = channel(spatial(tokens, cells[number % 3], shares[number % 3], sweeps))
        point = inputs['voxel']
        return self.classifier(tokens).index_select(0, point), tokens.index_select(0, point)

    def fold(self) -> None:
        for mix in self.channel_mix:
            if isinstance(mix, ChannelMix) and isinstance(mix.norm, nn.BatchNorm1d):
                scale, shift = scale_and_shift(mix.norm)
                with torch.no_grad():
                    mix.first.bias.add_(mix.first.weight @ shift)
                    mix.first.weight.mul_(scale)
                mix.norm = nn.Identity()
