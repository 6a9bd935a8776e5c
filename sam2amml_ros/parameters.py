"""The segmentation node's parameters: declared with a description, a range and a default, checked when read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from sam2amml_core.engines.engine import ENGINES
from sam2amml_core.errors import InputError

TRANSPORTS = ('raw', 'compressed')


@dataclass(frozen=True)
class NodeParameters:
    """What ``declare`` read. Names are those of the parameters."""

    model: str
    engine: str
    threads: int
    intensity_scale: float
    camera_names: tuple[str, ...]
    calibration_file: str
    image_transport: str
    rectified: bool
    overlay_rate: float


def declare(node: Node) -> NodeParameters:
    """Declare all parameters on the node. Raises InputError naming the parameter, its value and what is allowed."""

    def add(name: str, default: Any, description: str, low: float | None = None, high: float | None = None) -> Any:
        descriptor = ParameterDescriptor(name=name, description=description, read_only=True)
        if low is not None and high is not None:
            if isinstance(default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
            else:
                descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
        return node.declare_parameter(name, default, descriptor).value

    threads = add('threads', 2, 'CPU threads of the inference engine', 1, 64)
    scale = add('intensity_scale', 0.0, 'what intensity is divided by to come to 0..1; 0 = find out from each sweep',
                0.0, 1e6)
    rate = add('overlay_rate', 2.0, 'overlays a second and camera at most', 0.01, 100.0)
    names = add('camera_names', [''], 'cameras to use: topics ~/input/<name>/image and camera_info')
    parameters = NodeParameters(
        model=str(add('model', 'street64', 'model bundle: the name of a shipped one, or a folder')),
        engine=str(add('engine', 'auto', f'inference engine: {", ".join(ENGINES)}')),
        threads=int(threads),
        intensity_scale=float(scale),
        camera_names=tuple(str(name) for name in names if name),
        calibration_file=str(add('calibration_file', '', 'YAML file with the cameras; empty = camera_info and transforms')),
        image_transport=str(add('image_transport', 'raw', 'raw (Image) or compressed (CompressedImage)')),
        rectified=bool(add('rectified', False, 'images are rectified: use P of camera_info instead of K')),
        overlay_rate=float(rate),
    )
    _check(parameters)
    return parameters


def _check(parameters: NodeParameters) -> None:
    if parameters.engine not in ENGINES:
        raise InputError(f'parameter engine is {parameters.engine!r}; choose one of {", ".join(ENGINES)}')
    if parameters.image_transport not in TRANSPORTS:
        raise InputError(f'parameter image_transport is {parameters.image_transport!r}; '
                         f'choose one of {", ".join(TRANSPORTS)}')
    names = parameters.camera_names
    if len(set(names)) != len(names):
        raise InputError(f'parameter camera_names repeats a name ({", ".join(names)}); give each camera once')
    for name in names:
        if not name.replace('_', 'a').isalnum() or name[0].isdigit():
            raise InputError(f'parameter camera_names has {name!r}; a topic name has letters, digits and _ only, '
                             'and does not begin with a digit')
