"""Somebody else's voxel network behind the backbone contract: the example of docs/backbones.md, run as a test."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch, Prediction
from sam2amml_core.lidar.input_spec import VoxelInput


class VoxelAdapter(Backbone):
    """Runs ``network(voxel_features [M, 4], voxel_cells [M, 3], voxel_sweep [M]) -> (logits [M, C], features [M, D])``.

    It makes its own voxels from the points of the batch, so nothing but ``voxel`` of the prepared arrays is needed.
    """

    def __init__(self, network: nn.Module, classes: int, feature_channels: int, voxel_m: float = 0.1) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.feature_channels = feature_channels
        self.voxel_m = voxel_m
        self.input_spec = VoxelInput(voxel_m=voxel_m, halvings=0)

    def forward(self, batch: PointBatch) -> Prediction:
        voxel = batch.inputs['voxel']
        features = batch.inputs['features']
        first = torch.empty(len(features), dtype=torch.int64, device=voxel.device)
        first[voxel.flip(0)] = torch.arange(len(voxel), device=voxel.device).flip(0)  # a point of each voxel
        cells = (batch.points[first, :3] / self.voxel_m).floor().long()
        logits, hidden = self.network(features, cells, batch.sweep[first])
        return Prediction(logits[voxel], hidden[voxel])


class TheirNetwork(nn.Module):
    """Stands for a network from elsewhere: it sees voxels, not points, and knows nothing of this package."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(7, 16)
        self.out = nn.Linear(16, classes)

    def forward(self, features: Tensor, cells: Tensor, sweep: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(torch.cat((features, cells.to(features.dtype) * 0.1), 1)).relu()
        return self.out(hidden), hidden
