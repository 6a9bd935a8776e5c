"""``sensor_msgs/PointCloud2`` to and from numpy, without ROS: fields are found by name and type, never by place.

The functions take any object with the attributes of the message (``CloudMessage``): one of rclpy, one read from a bag,
one made by hand. Padded, organised and big-endian clouds are read as they are; NaN points and the order stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud

UINT8, FLOAT32 = 2, 7
TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8', 9: 'i8', 10: 'u8', 11: 'u1'}
"""PointField datatype -> numpy type (9..11, int64, uint64 and boolean, are in newer distributions only)."""

INTENSITY_NAMES = ('intensity', 'intensities', 'reflectivity', 'i')
RING_NAMES = ('ring', 'channel', 'line', 'laser_id')
TIME_NAMES = ('time', 't', 'timestamp', 'time_stamp', 'offset_time')

ADDED_FIELDS = ('class_id', 'probability', 'source')
"""What ``encode_labelled`` adds to each point."""

ABSOLUTE_SECONDS = 1e6
"""A per-point time above this is an absolute stamp, not an offset (11 days)."""


@dataclass(frozen=True)
class Field:
    """One PointField: ``datatype`` as in the message, ``offset`` in bytes, ``count`` in elements."""

    name: str
    offset: int
    datatype: int
    count: int = 1


class CloudMessage(Protocol):
    """What we need of a PointCloud2 message; ``header`` is read if it is there."""

    height: int
    width: int
    fields: Sequence[Any]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any


@dataclass(frozen=True)
class Layout:
    """Where the fields lie in each point, after the checks; the names are those of the message."""

    fields: tuple[Field, ...]
    intensity: str | None
    ring: str | None
    time: str | None

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


def read_layout(message: CloudMessage) -> Layout:
    """The field table of a message, checked: every type known, inside ``point_step``, and x, y, z present.

    Raises InputError naming the field.
    """
    fields = []
    for entry in message.fields:
        field = Field(str(entry.name), int(entry.offset), int(entry.datatype), max(1, int(entry.count)))
        if field.datatype not in TYPES:
            raise InputError(f'cloud field {field.name!r} has the unknown datatype {field.datatype}; '
                             f'PointField defines 1 (INT8) to 8 (FLOAT64)')
        end = field.offset + field.count * np.dtype(TYPES[field.datatype]).itemsize
        if field.offset < 0 or end > message.point_step:
            raise InputError(f'cloud field {field.name!r} ends at byte {end} but point_step is {message.point_step}; '
                             'correct the field table of the driver')
        fields.append(field)
    by_name = {field.name: field for field in fields}
    for axis in 'xyz':
        if axis not in by_name:
            raise InputError(f'cloud has no field {axis!r} (fields: {", ".join(by_name) or "none"}); '
                             'publish x, y and z as FLOAT32')
        if by_name[axis].datatype not in (7, 8):
            raise InputError(f'cloud field {axis!r} has datatype {by_name[axis].datatype}; '
                             'publish it as FLOAT32 (7) or FLOAT64 (8), in metres')

    def first(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in by_name), None)

    return Layout(tuple(fields), first(INTENSITY_NAMES), first(RING_NAMES), first(TIME_NAMES))


def as_structured(message: CloudMessage) -> np.ndarray:
    """The points as a structured array [height, width] over the message's own bytes (no copy, its byte order).

    Raises InputError when the field table is wrong or ``data`` is shorter than the header says.
    """
    layout = read_layout(message)
    named = {field.name: field for field in layout.fields if field.name}
    order = '>' if message.is_bigendian else '<'
    kinds = [order + TYPES[field.datatype] for field in named.values()]
    dtype = np.dtype({'names': list(named),
                      'formats': [kind if field.count == 1 else (kind, (field.count,))
                                  for kind, field in zip(kinds, named.values(), strict=True)],
                      'offsets': [field.offset for field in named.values()],
                      'itemsize': int(message.point_step)})
    buffer, row_step = _buffer(message)
    return np.ndarray((message.height, message.width), dtype, buffer, strides=(row_step, int(message.point_step)))


def decode(message: CloudMessage, intensity_scale: float | str = 'auto') -> PointCloud:
    """The message as a PointCloud of N = height * width points, row by row.

    intensity_scale: what the field is divided by to come to 0..1. 'auto' divides uint8 by 255 and uint16 by 65535; a
    float field is taken as 0..1 if no value of this sweep exceeds 1, as 0..255 if none exceeds 255, else as 0..65535.
    Give a number to be free of that guess. Values are clipped to 0..1, NaN becomes 0; no such field gives zeros
    (``read_layout(message).intensity is None`` tells).

    Time: integers are nanoseconds, floats seconds; absolute stamps are taken relative to the header's stamp.

    Raises InputError for an empty, truncated or all-NaN cloud, a missing or ill-typed x, y, z, or an unknown datatype.
    """
    if message.height * message.width == 0:
        raise InputError(f'cloud is empty ({message.width} x {message.height} points); check the LiDAR driver')
    layout = read_layout(message)
    buffer, _ = _buffer(message)
    stamp_ns, frame_id = _header(message)
    xyz = _xyz(message, layout, buffer)
    if not np.isfinite(xyz[0]).all() and not np.isfinite(xyz).all(axis=1).any():
        raise InputError(f'cloud of {len(xyz)} points holds no finite point; check the LiDAR (covered, or no return?)')
    if layout.intensity is None:
        intensity = np.zeros(len(xyz), np.float32)
    else:
        intensity = scale_intensity(_column(message, layout[layout.intensity], buffer), intensity_scale)
    ring = None if layout.ring is None else _column(message, layout[layout.ring], buffer).astype(np.uint16)
    time = None
    if layout.time is not None:
        time = _relative_time(_column(message, layout[layout.time], buffer), stamp_ns)
    return PointCloud(xyz, intensity, time, ring, stamp_ns, frame_id)


def encode_labelled(message: CloudMessage, class_id: np.ndarray, probability: np.ndarray,
                    source: np.ndarray | None = None) -> tuple[tuple[Field, ...], int, np.ndarray]:
    """The message's points with their labels: (fields, point_step, data), for a message of the same height and width.

    Every input field keeps its place and its bytes (NaN, order, byte order). ``probability`` FLOAT32 (aligned to 4),
    ``class_id`` UINT8 and ``source`` UINT8 follow in the padding at the end of each point if it has room, else the
    point grows; fields of those names are replaced. Rows are written without padding: row_step = width * point_step.

    class_id uint8 [N], probability float32 [N], source uint8 [N]: 0 LiDAR alone, 1 confirmed by a camera, 2 changed by
    a camera (all 0 if not given); N = height * width; returns data uint8 [N * point_step].
    Raises InputError as ``read_layout`` does, or when the labels are not one for each point.
    """
    count = message.height * message.width
    for name, values in (('class_id', class_id), ('probability', probability), ('source', source)):
        if values is not None and values.shape != (count,):
            raise InputError(f'{name} has shape {values.shape} for a cloud of {count} points; give one value for each')
    layout = read_layout(message)
    buffer, row_step = _buffer(message)
    kept = [field for field in layout.fields if field.name not in ADDED_FIELDS]
    end = max(field.offset + field.count * np.dtype(TYPES[field.datatype]).itemsize for field in kept)
    probability_at = -(-end // 4) * 4
    step = max(int(message.point_step), probability_at + 8)
    fields = (*kept, Field('class_id', probability_at + 4, UINT8), Field('probability', probability_at, FLOAT32),
              Field('source', probability_at + 5, UINT8))

    data = np.zeros(count * step, np.uint8)
    copied = min(int(message.point_step), probability_at)
    before = np.ndarray((message.height, message.width), f'V{copied}', buffer,
                        strides=(row_step, int(message.point_step)))
    rows = np.ndarray((message.height, message.width), f'V{copied}', data, strides=(message.width * step, step))
    rows[...] = before
    order = '>' if message.is_bigendian else '<'
    np.ndarray(count, order + 'f4', data, probability_at, (step,))[:] = probability
    np.ndarray(count, 'u1', data, probability_at + 4, (step,))[:] = class_id
    if source is not None:
        np.ndarray(count, 'u1', data, probability_at + 5, (step,))[:] = source
    return fields, step, data


def scale_intensity(values: np.ndarray, scale: float | str = 'auto') -> np.ndarray:
    """Intensity of any type as float32 0..1; ``scale`` as in ``decode``."""
    if scale == 'auto':
        if values.dtype.kind in 'iu':
            divisor = 255.0 if values.dtype.itemsize == 1 else 65535.0
        else:
            largest = float(np.fmax.reduce(values, initial=0.0))
            divisor = 1.0 if largest <= 1.0 else 255.0 if largest <= 255.0 else 65535.0
    elif isinstance(scale, str) or not scale > 0:
        raise InputError(f'intensity_scale is {scale!r}; give "auto" or a number above 0')
    else:
        divisor = float(scale)
    scaled = values.astype(np.float32)
    if divisor != 1.0:
        scaled *= np.float32(1.0 / divisor)
    return np.fmin(np.fmax(scaled, np.float32(0.0), out=scaled), np.float32(1.0), out=scaled)


def _buffer(message: CloudMessage) -> tuple[np.ndarray, int]:
    """The bytes and the row step to walk them with, once there are enough of them."""
    height, width, step = int(message.height), int(message.width), int(message.point_step)
    if step <= 0:
        raise InputError(f'cloud point_step is {step}; it must be the number of bytes of one point')
    row_step = int(message.row_step) if height > 1 else width * step
    if row_step < width * step:
        raise InputError(f'cloud row_step is {row_step}, less than {width} points of {step} bytes; correct the driver')
    buffer = np.frombuffer(message.data, np.uint8)
    needed = row_step * (height - 1) + width * step if height and width else 0
    if len(buffer) < needed:
        raise InputError(f'cloud is truncated: {len(buffer)} bytes of data, but {height} x {width} points of {step} '
                         f'bytes need {needed}; check the driver or the recording')
    return buffer, row_step


def _column(message: CloudMessage, field: Field, buffer: np.ndarray) -> np.ndarray:
    """One scalar field [N] in native byte order; a view where rows and byte order allow."""
    dtype = np.dtype(('>' if message.is_bigendian else '<') + TYPES[field.datatype])
    row_step = int(message.row_step) if message.height > 1 else int(message.width * message.point_step)
    grid = np.ndarray((message.height, message.width), dtype, buffer, field.offset,
                      (row_step, int(message.point_step)))
    return grid.reshape(-1).astype(dtype.newbyteorder('='), copy=False)


def _xyz(message: CloudMessage, layout: Layout, buffer: np.ndarray) -> np.ndarray:
    """float32 [N, 3], contiguous, its own memory."""
    x, y, z = (layout[axis] for axis in 'xyz')
    xyz = np.empty((message.height * message.width, 3), np.float32)
    for column, field in enumerate((x, y, z)):
        xyz[:, column] = _column(message, field, buffer)
    return xyz


def _header(message: CloudMessage) -> tuple[int, str]:
    header = getattr(message, 'header', None)
    if header is None:
        return 0, 'lidar'
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec), str(header.frame_id)


def _relative_time(values: np.ndarray, stamp_ns: int) -> np.ndarray | None:
    """Seconds after the stamp, float32; None where a float32 holds absolute stamps (its steps are minutes)."""
    if values.dtype.kind in 'iu':
        absolute = values.dtype.itemsize == 8 and values.size and int(values.max()) > ABSOLUTE_SECONDS * 1e9
        nanoseconds = values.astype(np.int64) - stamp_ns if absolute else values
        return nanoseconds.astype(np.float32) * np.float32(1e-9)
    if float(np.fmax.reduce(values, initial=0.0)) <= ABSOLUTE_SECONDS:
        return values.astype(np.float32)
    if values.dtype.itemsize < 8:
        return None
    return (values - stamp_ns * 1e-9).astype(np.float32)
