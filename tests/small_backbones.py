"""The smallest network of each family, and a small street, for tests."""

from __future__ import annotations

import numpy as np

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.cylinder_unet import CylinderUNet, CylinderUNetConfig
from sam2amml_core.lidar.backbones.frnet import FRNet, FRNetConfig
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNetConfig
from sam2amml_core.lidar.backbones.minkunet import MinkUNet, MinkUNetConfig
from sam2amml_core.lidar.backbones.range_backbone import RangeBackbone
from sam2amml_core.lidar.backbones.waffle_iron import WaffleIron, WaffleIronConfig
from sam2amml_core.lidar.input_spec import CylinderInput, TokenInput

SENSOR = SensorGeometry(beams=16, fov_up_deg=3, fov_down_deg=-25, image_height=16, image_width=64, sensor_height_m=1.7)
PLAIN = Normalisation(
    mean=dict.fromkeys(('x', 'y', 'z', 'range', 'intensity', 'row_offset', 'column_offset'), 0.0),
    std={'x': 12.0, 'y': 12.0, 'z': 2.0, 'range': 12.0, 'intensity': 1.0, 'row_offset': 1.0, 'column_offset': 1.0})
CLASSES = 5
FAMILIES = ('frustum_range_net', 'frnet', 'minkunet', 'minkunet_add', 'cylinder', 'waffle_iron')


def small(family: str) -> Backbone:
    """A network of a family, a few channels wide."""
    if family == 'frustum_range_net':
        return RangeBackbone(FrustumRangeNetConfig(height=16, width=64, classes=CLASSES, point_channels=8,
                                                   channels=(8, 8), blocks=(1, 1), head_channels=8))
    if family == 'frnet':
        return FRNet(FRNetConfig(16, 64, CLASSES, encoder=(8, 8, 8), compressed=4, channels=8, blocks=(1, 1),
                                 strides=(1, 2), fuse=(8,), head=(8, 8, 8)))
    if family == 'minkunet':
        return MinkUNet(MinkUNetConfig(CLASSES, stem=8, encoder=(8, 12), decoder=(8, 8), blocks=(1, 1),
                                       decoder_blocks=1, voxel_m=0.5))
    if family == 'minkunet_add':
        return MinkUNet(MinkUNetConfig(CLASSES, stem=8, encoder=(12,), decoder=(12,), blocks=(1,), decoder_blocks=1,
                                       skips='add', voxel_m=0.5))
    if family == 'cylinder':
        space = CylinderInput(cells=(32, 48, 8), strides=((2, 2, 1),))
        return CylinderUNet(CylinderUNetConfig(CLASSES, points=(8,), voxel=8, width=4, space=space))
    return WaffleIron(WaffleIronConfig(CLASSES, channels=8, depth=3, space=TokenInput(voxel_m=0.5, neighbours=4,
                                                                                      cell_m=4.0)))


def street(count: int = 700, seed: int = 0) -> PointCloud:
    """Points on flat ground and on things that stand on it."""
    random = np.random.default_rng(seed)
    azimuth = random.uniform(-np.pi, np.pi, count)
    elevation = np.deg2rad(random.uniform(-24, 2, count))
    ground = np.where(elevation < -0.03, 1.7 / np.sin(-np.minimum(elevation, -0.03)), 40)
    distance = np.minimum(random.uniform(3, 40, count), ground)
    xyz = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], 1)
    return PointCloud((xyz * distance[:, None]).astype(np.float32), random.random(count).astype(np.float32))
