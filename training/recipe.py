"""Recipes: for which LiDAR a model is made and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNetConfig
from training.augment_material import STREET_EXCHANGES, Exchange


@dataclass(frozen=True)
class Recipe:
    """One model: the sensor, the class schema, the network and the training settings.

    ``headings_deg``: where the vehicle's front may lie in the sensor's frame, degrees from x towards y.
    """

    name: str
    rig: str
    sensor: SensorGeometry
    normalisation: Normalisation
    network: FrustumRangeNetConfig
    schema: str = 'semantic_kitti'
    batch: int = 2
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    ema_decay: float = 0.995
    headings_deg: tuple[float, ...] = (0.0,)
    exchanges: tuple[Exchange, ...] = STREET_EXCHANGES
    pasted: tuple[str, ...] = (
        'bicycle', 'motorcycle', 'other-vehicle', 'person', 'bicyclist', 'motorcyclist', 'traffic-sign',
    )
    loss_points: int = 60_000
    lovasz_points: int = 16_000


def _normalisation(height: float) -> Normalisation:
    mean = {'x': 0.0, 'y': 0.0, 'z': -height / 2, 'range': 12.0, 'intensity': 0.25, 'row_offset': 0.0,
            'column_offset': 0.0}
    std = {'x': 12.0, 'y': 10.0, 'z': 1.2, 'range': 12.0, 'intensity': 0.2, 'row_offset': 0.3, 'column_offset': 0.3}
    return Normalisation(mean=mean, std=std)


STREET64 = Recipe(
    name='street64', rig='kitti', normalisation=_normalisation(1.73),
    sensor=SensorGeometry(beams=64, fov_up_deg=3, fov_down_deg=-25, image_height=64, image_width=512,
                          sensor_height_m=1.73),
    network=FrustumRangeNetConfig(height=64, width=512))
"""Velodyne HDL-64E as on KITTI's car, 10 Hz."""

STREET32 = Recipe(
    name='street32', rig='nuscenes', normalisation=_normalisation(1.84),
    sensor=SensorGeometry(beams=32, fov_up_deg=10.67, fov_down_deg=-30.67, image_height=32, image_width=512,
                          sensor_height_m=1.84),
    network=FrustumRangeNetConfig(height=32, width=512), batch=4, headings_deg=(0.0, 90.0))
"""Velodyne HDL-32E as on nuScenes' cars, 20 Hz; nuScenes mounts it with y to the front."""

RECIPES = (STREET64, STREET32)


def find_recipe(name: str) -> Recipe:
    """The recipe of a model name; raises ``InputError`` if there is none."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise InputError(f'no recipe {name!r}; choose one of {", ".join(r.name for r in RECIPES)}')
