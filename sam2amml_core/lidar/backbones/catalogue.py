"""The backbones by name, as recipes and commands call them."""

from __future__ import annotations

from sam2amml_core.bundle import SensorGeometry
from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.backbone import Backbone

NAMES = ('frustum_range_net', 'frustum_range_net_full', 'minkunet18', 'minkunet34', 'minkunet18_small', 'cylinder_unet',
         'cylinder_unet_small', 'waffle_iron', 'waffle_iron_full')


def create(name: str, classes: int, sensor: SensorGeometry) -> Backbone:
    """A fresh network, with random weights, that tells ``classes`` apart (unlabeled not counted).

    name    one of ``NAMES``
    sensor  the LiDAR it is for: range networks take the size of their image from it
    Raises ``InputError`` if there is no such name or the sensor does not suit it.
    """
    if classes < 1:
        raise InputError(f'a backbone needs at least 1 class, got {classes}')
    if name not in NAMES:
        raise InputError(f'no backbone {name!r}; choose one of {", ".join(NAMES)}')
    if name.startswith('frustum_range_net'):
        network = _range(name, classes, sensor)
    elif name.startswith('minkunet'):
        network = _minkunet(name, classes)
    elif name.startswith('cylinder_unet'):
        network = _cylinder(name, classes)
    else:
        network = _waffle_iron(name, classes)
    network.catalogue_name = name
    return network


def _range(name: str, classes: int, sensor: SensorGeometry) -> Backbone:
    height, width = sensor.image_height, sensor.image_width
    if height % 8 or width % 8:
        raise InputError(f'{name} halves its image three times; {height} x {width} cells must be multiples of 8')
    if name == 'frustum_range_net_full':
        from sam2amml_core.lidar.backbones.frnet import FRNet, FRNetConfig

        return FRNet(FRNetConfig(height=height, width=width, classes=classes))
    from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNetConfig
    from sam2amml_core.lidar.backbones.range_backbone import RangeBackbone

    return RangeBackbone(FrustumRangeNetConfig(height=height, width=width, classes=classes))


def _minkunet(name: str, classes: int) -> Backbone:
    from sam2amml_core.lidar.backbones.minkunet import MinkUNet, MinkUNetConfig

    if name == 'minkunet18_small':
        return MinkUNet(MinkUNetConfig.of_width(0.25, classes, blocks=(1, 1, 1, 1), decoder_blocks=1, skips='add',
                                                voxel_m=0.2))
    blocks = (2, 3, 4, 6) if name == 'minkunet34' else (2, 2, 2, 2)
    return MinkUNet(MinkUNetConfig(classes=classes, blocks=blocks))


def _cylinder(name: str, classes: int) -> Backbone:
    from sam2amml_core.lidar.backbones.cylinder_unet import CylinderUNet, CylinderUNetConfig
    from sam2amml_core.lidar.input_spec import CylinderInput

    if name == 'cylinder_unet':
        return CylinderUNet(CylinderUNetConfig(classes=classes))
    space = CylinderInput(cells=(240, 180, 24), strides=((2, 2, 2), (2, 2, 1), (2, 2, 1)))
    return CylinderUNet(CylinderUNetConfig(classes=classes, points=(32, 32), voxel=16, width=8, space=space))


def _waffle_iron(name: str, classes: int) -> Backbone:
    from sam2amml_core.lidar.backbones.waffle_iron import WaffleIron, WaffleIronConfig
    from sam2amml_core.lidar.input_spec import TokenInput

    if name == 'waffle_iron_full':
        return WaffleIron(WaffleIronConfig(classes=classes, channels=256, depth=48))
    space = TokenInput(voxel_m=0.2, neighbours=8, cell_m=0.8)
    return WaffleIron(WaffleIronConfig(classes=classes, channels=32, depth=6, space=space))
