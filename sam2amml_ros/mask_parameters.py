"""The mask node's parameters: those about its input under the names and rules of the segmentation node's, and its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from sam2amml_core.masks.makers import GENERATORS, MakerSpec
from sam2amml_ros import parameters
from sam2amml_ros.parameters import NodeParameters, Parameter

SHARED = ('threads', 'autostart', 'intensity_scale', 'lidar_stamp', 'sweep_period_s', 'camera_names',
          'calibration_file', 'image_transport', 'rectified', 'sync_tolerance_ms', 'sync_max_wait_ms',
          'camera_offsets_ms', 'ego_motion', 'deskew', 'fixed_frame', 'overlay_rate')

OWN = (
    Parameter('generator', 'felzenszwalb', 'what cuts the images: superpixels (felzenszwalb, slic), outlines of LiDAR '
              'clusters, or lidar: SAM2 prompted by them', choices=GENERATORS),
    Parameter('sam2', 'sam2_nano', 'for lidar: a shipped SAM2, or a SAM2 configuration'),
    Parameter('sam2_checkpoint', '', 'its weights, for a configuration'),
    Parameter('device', 'cpu', 'where SAM2 runs: cpu or cuda'),
    Parameter('rate', 2.0, 'sets of masks a second at most; a sweep that comes sooner is left out', 0.01, 100),
)


@dataclass(frozen=True)
class MaskParameters:
    """shared: as the segmentation node has them; rate: sets of masks a second; maker: of the masks."""

    shared: NodeParameters
    rate: float
    maker: MakerSpec


def declare(node: Node) -> None:
    """Declare all of them."""
    parameters.declare(node, (*(parameters.BY_NAME[name] for name in SHARED), *OWN))


def read(node: Node) -> MaskParameters:
    """All values, checked. Raises InputError naming the parameter, its value and what is allowed."""
    values: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters.PARAMETERS}
    values |= {name: node.get_parameter(name).value for name in SHARED}
    own = {parameter.name: parameter.check(node.get_parameter(parameter.name).value) for parameter in OWN}
    maker = MakerSpec(own['generator'], model=own['sam2'], checkpoint=own['sam2_checkpoint'] or None,
                      device=own['device'])
    maker.check()
    return MaskParameters(parameters.checked(values), own['rate'], maker)
