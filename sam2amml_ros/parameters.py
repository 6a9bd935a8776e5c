"""The segmentation node's parameters: one table that declares, describes, checks and documents them.

A value is refused when the node is configured (or when it is set, for those that may change while the node runs), with
its name, the value and what is allowed. ``docs/parameters.md`` is this table: ``python -m sam2amml_ros.parameters``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node

from sam2amml_core.engines.engine import ENGINES
from sam2amml_core.errors import InputError
from sam2amml_core.geometry.compensation import LIDAR_STAMPS
from sam2amml_ros.sync_policies import POLICIES

TRANSPORTS = ('raw', 'compressed')


@dataclass(frozen=True)
class Parameter:
    """One row of the table. ``low``, ``high``: range of numbers, also in a list; ``dynamic``: may be set any time."""

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    @property
    def allowed(self) -> str:
        if self.choices:
            return ', '.join(self.choices)
        return '' if self.low is None or self.high is None else f'{self.low:g} to {self.high:g}'

    def check(self, value: Any) -> Any:
        """The value in its own type. Raises InputError naming the parameter, the value and what is allowed."""
        one = self.default[0] if isinstance(self.default, list) else self.default
        value = [] if value is None and isinstance(self.default, list) else value
        values = list(value) if isinstance(self.default, list) and isinstance(value, Iterable) else [value]
        listed = isinstance(self.default, list)
        if (listed and isinstance(value, str)) or not all(_same_type(v, one) for v in values):
            kind = type(one).__name__
            raise InputError(f'parameter {self.name} is {value!r}; give {"a list of " if listed else ""}{kind}')
        for number in values:
            if self.low is not None and self.high is not None and not self.low <= number <= self.high:
                raise InputError(f'parameter {self.name} is {value!r}; give {self.allowed}')
            if isinstance(number, float) and not math.isfinite(number):
                raise InputError(f'parameter {self.name} is {value!r}; give a finite number')
        if self.choices and value not in self.choices:
            raise InputError(f'parameter {self.name} is {value!r}; choose one of {self.allowed}')
        values = [type(one)(v) for v in values]
        return tuple(v for v in values if v != '') if listed else values[0]


PARAMETERS = (
    Parameter('model', 'street64', 'model bundle: the name of a shipped one (street64, street32), or a folder'),
    Parameter('engine', 'auto', 'inference engine', choices=tuple(ENGINES)),
    Parameter('threads', 2, 'CPU threads of the inference engine', 1, 64),
    Parameter('autostart', True, 'configure and activate the node at its start; false: a lifecycle manager does'),
    Parameter('intensity_scale', 0.0, 'what intensity is divided by to come to 0..1; 0 = find out from each sweep',
              0, 1e6),
    Parameter('lidar_stamp', 'start', 'what the stamp of a cloud is the time of, within the sweep',
              choices=LIDAR_STAMPS),
    Parameter('sweep_period_s', 0.0, 'duration of a sweep whose points carry no time; 0 = as if measured at its stamp',
              0, 10),
    Parameter('confidence_threshold', 0.0, 'labels less probable than this become 255, unknown', 0, 1, dynamic=True),
    Parameter('filtered_classes', [''], 'names of classes left out of ~/output/filtered', dynamic=True),
    Parameter('camera_names', [''], 'cameras to use: topics ~/input/<name>/image and camera_info'),
    Parameter('cameras_off', [''], 'cameras that are not used for now', dynamic=True),
    Parameter('calibration_file', '',
              'YAML file with the cameras; empty = camera_info, and /tf_static or .../extrinsics'),
    Parameter('image_transport', 'raw', 'raw (Image) or compressed (CompressedImage, ~/input/<name>/image/compressed)',
              choices=TRANSPORTS),
    Parameter('rectified', False, 'images are rectified: use P of camera_info instead of K and the lens model'),
    Parameter('sync_policy', 'lidar_led', 'how images are put to sweeps; the other two need message_filters',
              choices=POLICIES),
    Parameter('sync_tolerance_ms', 60.0, 'an image farther than this from its sweep is not used with it', 0, 10_000),
    Parameter('sync_max_wait_ms', 50.0, 'a sweep waits for images no longer than this', 0, 10_000),
    Parameter('camera_offsets_ms', [0.0], 'image time minus sweep time of images that belong together: one for each '
              'camera, or one for all', -10_000, 10_000),
    Parameter('ego_motion', True, 'use odometry between the times of sweep and image, where it is published',
              dynamic=True),
    Parameter('deskew', True, 'with ego motion: use the time of each point, where the cloud has it', dynamic=True),
    Parameter('fixed_frame', 'odom', 'frame of /tf whose transforms are odometry (where tf2_msgs is installed)'),
    Parameter('mask_tolerance_ms', 0.0, 'masks of images (~/input/<name>/masks, from mask_node) this far from a sweep '
              'confirm or correct its labels; 0 = no masks are used', 0, 10_000),
    Parameter('overlay_rate', 2.0, 'overlays a second and camera at most', 0.01, 100, dynamic=True),
    Parameter('max_processing_ms', 100.0, 'diagnostics warn of sweeps that take longer', 0.1, 60_000, dynamic=True),
    Parameter('diagnostics_period_s', 1.0, 'time between two messages on /diagnostics', 0.05, 60),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class NodeParameters:
    """The values, under the names of the parameters; lists as tuples without empty strings."""

    model: str
    engine: str
    threads: int
    autostart: bool
    intensity_scale: float
    lidar_stamp: str
    sweep_period_s: float
    confidence_threshold: float
    filtered_classes: tuple[str, ...]
    camera_names: tuple[str, ...]
    cameras_off: tuple[str, ...]
    calibration_file: str
    image_transport: str
    rectified: bool
    sync_policy: str
    sync_tolerance_ms: float
    sync_max_wait_ms: float
    camera_offsets_ms: tuple[float, ...]
    ego_motion: bool
    deskew: bool
    fixed_frame: str
    mask_tolerance_ms: float
    overlay_rate: float
    max_processing_ms: float
    diagnostics_period_s: float


def declare(node: Node, parameters: tuple[Parameter, ...] = PARAMETERS) -> None:
    """Declare all parameters; wrong values are taken for now, ``read`` refuses them."""
    for parameter in parameters:
        node.declare_parameter(parameter.name, parameter.default, ParameterDescriptor(dynamic_typing=True))
        allowed = f' ({parameter.allowed})' if parameter.allowed else ''
        descriptor = ParameterDescriptor(
            name=parameter.name, description=parameter.description + allowed, dynamic_typing=True,
            additional_constraints='' if parameter.dynamic else 'set before the node is configured')
        if parameter.low is not None and parameter.high is not None and not isinstance(parameter.default, list):
            if isinstance(parameter.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
            else:
                descriptor.floating_point_range = [FloatingPointRange(from_value=float(parameter.low),
                                                                      to_value=float(parameter.high))]
        try:
            node.set_descriptor(parameter.name, descriptor)
        except InvalidParameterValueException:
            continue  # a value out of range keeps its plain descriptor until it is refused by ``read``


def read(node: Node) -> NodeParameters:
    """All values, checked. Raises InputError naming the parameter, its value and what is allowed."""
    return checked({name: node.get_parameter(name).value for name in BY_NAME})


def checked(values: dict[str, Any]) -> NodeParameters:
    """Values by name as NodeParameters. Raises InputError."""
    result = NodeParameters(**{name: BY_NAME[name].check(value) for name, value in values.items()})
    names = result.camera_names
    if len(set(names)) != len(names):
        raise InputError(f'parameter camera_names repeats a name ({", ".join(names)}); give each camera once')
    for name in names:
        if not name.isascii() or not name.replace('_', 'a').isalnum() or name[0].isdigit():
            raise InputError(f'parameter camera_names has {name!r}; a topic name has letters, digits and _ only, '
                             'and does not begin with a digit')
    unknown = [name for name in result.cameras_off if name not in names]
    if unknown:
        raise InputError(f'parameter cameras_off has {", ".join(unknown)}, no camera of camera_names '
                         f'({", ".join(names) or "none"})')
    if result.cameras_off and result.sync_policy != 'lidar_led':
        raise InputError('parameter cameras_off needs sync_policy lidar_led; the others need all cameras')
    if len(result.camera_offsets_ms) not in (0, 1, len(names)):
        raise InputError(f'parameter camera_offsets_ms has {len(result.camera_offsets_ms)} values for {len(names)} '
                         'cameras; give one for each, in the order of camera_names, or one for all')
    return result


def after_change(node: Node, changes: dict[str, Any], state: str) -> NodeParameters | None:
    """What the parameters would be after a change; None while the node is unconfigured, or if none of ours is changed.

    Raises InputError for a value that is not allowed, or one that may not change in this lifecycle state.
    """
    ours = {name: value for name, value in changes.items() if name in BY_NAME}
    for name, value in ours.items():
        BY_NAME[name].check(value)
        if state != 'unconfigured' and not BY_NAME[name].dynamic:
            raise InputError(f'parameter {name} can be set only while the node is unconfigured; it is {state}')
    if state == 'unconfigured' or not ours:
        return None
    return checked({name: ours.get(name, node.get_parameter(name).value) for name in BY_NAME})


def table() -> str:
    """``docs/parameters.md``."""
    lines = ['# Parameters of segmentation_node', '',
             'Made by `python -m sam2amml_ros.parameters`. *Dynamic* ones may be set while the node runs, the others',
             'while it is unconfigured (`ros2 lifecycle set /segmentation_node cleanup` after `deactivate`). A value',
             'that is not allowed is refused with its name and what is allowed.', '',
             '| name | default | allowed | dynamic | what |', '|---|---|---|---|---|']
    for p in PARAMETERS:
        default = [v for v in p.default if v != ''] if isinstance(p.default, list) else p.default
        shown = str(default).lower() if isinstance(default, bool) else default
        lines.append(f'| `{p.name}` | `{shown!r}` | {p.allowed} | {"yes" if p.dynamic else ""} | '
                     f'{p.description.replace("|", "or").replace("<", "&lt;")} |'.replace("`'true'`", '`true`')
                     .replace("`'false'`", '`false`'))
    return '\n'.join(lines) + '\n'


def _same_type(value: Any, example: Any) -> bool:
    """Of the example's type; whole numbers are taken for floating-point ones."""
    if isinstance(value, bool) or isinstance(example, bool):
        return isinstance(value, bool) and isinstance(example, bool)
    return isinstance(value, type(example)) or (isinstance(example, float) and isinstance(value, int))


def main() -> int:
    """Write the table into docs/ of the source tree."""
    (Path(__file__).parents[1] / 'docs' / 'parameters.md').write_text(table())
    return 0


if __name__ == '__main__':
    sys.exit(main())
