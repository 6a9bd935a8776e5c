"""The frustum-range network of the shipped models, behind the backbone contract."""

from __future__ import annotations

from torch import Tensor

from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet, FrustumRangeNetConfig
from sam2amml_core.lidar.input_spec import RangeInput


class RangeBackbone(Backbone):
    """``FrustumRangeNet`` on range views; the image's size must be that of the sensor geometry."""

    def __init__(self, config: FrustumRangeNetConfig) -> None:
        super().__init__()
        self.input_spec = RangeInput()
        self.classes = config.classes
        self.feature_channels = config.head_channels
        self.image_size = (config.height, config.width)
        self.network = FrustumRangeNet(config)

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        features = self.network.embed(inputs['features'], inputs['pixel'], sweeps)
        return self.network.classifier(features), features

    def fold(self) -> None:
        self.network.fold_norms()
