"""The cases: what happens to sensors, clocks and the node, sweep by sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from sam2amml_core.io.pointcloud2 import Field
from sam2amml_ros.faults import messages
from sam2amml_ros.faults.messages import PLAIN

START_NS = 1_700_000_000_000_000_000
CAMERAS = ('left', 'right')
FAULT = 15
"""The sweep at which most faults begin."""


def never(number: int) -> bool:
    return False


@dataclass(frozen=True)
class Case:
    """One case of ``sweeps`` sweeps at 10 Hz with two cameras; functions get the number of the sweep or image.

    cloud, image, info  what is sent in place of the usual message; None: nothing
    destroys            sweeps that nobody can label, whatever the node does
    stamp_ns            of what is measured at a time in seconds
    event_at            the sweep with the last event: from there on recovery is counted
    measured_from       the sweep from which on latency is measured
    counted_drops       sweeps the node says it dropped belong to the case (overload)
    """

    name: str
    cameras: tuple[str, ...] = CAMERAS
    sweeps: int = 40
    camera_hz: float = 10.0
    module: str = 'segmentation_node'
    parameters: dict[str, str] = field(default_factory=dict)
    cloud: Callable[[int, int], PointCloud2 | None] = lambda number, stamp: messages.cloud(stamp)
    image: Callable[[int, str, int], Image | None] = lambda number, camera, stamp: messages.image(camera, stamp)
    info: Callable[[int, str, int], CameraInfo] = lambda number, camera, stamp: messages.camera_info(camera, stamp)
    extrinsics_at: int = 0
    stamp_ns: Callable[[float], int] = lambda seconds: START_NS + round(1e9 * seconds)
    destroys: Callable[[int], bool] = never
    event_at: int = 0
    measured_from: int = 0
    counted_drops: bool = False
    slow_consumer: bool = False
    kill_at: int | None = None


def _dies(camera: str, first: int, last: int) -> Callable[[int, str, int], Image | None]:
    def image(number: int, name: str, stamp: int) -> Image | None:
        dead = first <= number < last and name in (camera, '') or (not camera and first <= number < last)
        return None if dead else messages.image(name, stamp)
    return image


def _jump(seconds: float) -> Callable[[float], int]:
    return lambda t: START_NS + round(1e9 * (t + (seconds if t >= FAULT / 10 else 0.0)))


def _loop(length_s: float) -> Callable[[float], int]:
    return lambda t: START_NS + round(1e9 * (t % length_s))


def _bad_image(number: int, camera: str, stamp: int) -> Image:
    message = messages.image(camera, stamp)
    if camera == 'left':
        message.data = message.data[:len(message.data) // 2]
    else:
        message.encoding = ('bayer_rggb8', 'yuv422', '', '32FC1')[number % 4]
    return message


def _changing_info(number: int, camera: str, stamp: int) -> CameraInfo:
    message = messages.camera_info(camera, stamp)
    message.k[0] = message.k[4] = 400.0 + number
    if number % 5 == 4:
        message.k[0] = 0.0  # uncalibrated for a moment
    return message


def _cloud_of_kind(number: int, stamp: int) -> PointCloud2 | None:
    """Eight sweeps of every kind of good but unusual cloud; those of 300,000 points not as often."""
    points = messages.sweep()
    kind = number // 8
    if kind == 0:
        points = points.copy()
        points[::3, :3] = np.nan
        return messages.cloud(stamp, points)
    if kind == 1:
        return messages.cloud(stamp, fields=(*PLAIN, Field('tag', 24, 2), Field('noise', 26, 4, 3)), step=40)
    if kind == 2:
        return messages.cloud(stamp, bigendian=True)
    if kind == 3:
        return messages.cloud(stamp, height=32, row_padding=52)
    return messages.cloud(stamp, messages.sweep(9375)) if number % 4 == 0 else None


def _bad_cloud(number: int, stamp: int) -> PointCloud2:
    """Every fourth sweep cannot be read: no points, all NaN, truncated, a type that does not exist."""
    message = messages.cloud(stamp)
    if number % 4 != 2:
        return message
    kind = number // 4 % 4
    if kind == 0:
        return messages.cloud(stamp, messages.sweep()[:0])
    if kind == 1:
        points = messages.sweep().copy()
        points[:, :3] = np.nan
        return messages.cloud(stamp, points)
    if kind == 2:
        message.data = message.data[:1000]
    else:
        message.fields[0].datatype = 99
    return message


CASES = (
    Case('no fault, no cameras', cameras=()),
    Case('no fault, two cameras'),
    Case('one of two cameras dies and returns', image=_dies('right', FAULT, 28), event_at=28, sweeps=45),
    Case('both cameras die', image=_dies('', FAULT, 10_000), event_at=FAULT, measured_from=FAULT + 4, sweeps=45),
    Case('camera at 30 Hz, recording loops', camera_hz=30, stamp_ns=_loop(1.5), sweeps=60, event_at=45),
    Case('clock jumps back 100 s', stamp_ns=_jump(-100), event_at=FAULT),
    Case('clock jumps forward 100 s', stamp_ns=_jump(100), event_at=FAULT),
    Case('extrinsics come late', extrinsics_at=FAULT, event_at=FAULT),
    Case('intrinsics change', info=_changing_info),
    Case('truncated and wrong images', image=_bad_image),
    Case('unusual clouds, up to 300k points', cloud=_cloud_of_kind),
    Case('clouds nobody can read', cloud=_bad_cloud, destroys=lambda number: number % 4 == 2, event_at=38),
    Case('slow consumer', slow_consumer=True),
    Case('node killed and restarted', kill_at=FAULT, sweeps=90, event_at=FAULT),
    Case('2x overload', module='faults.failing_node', parameters={'slow_ms': '200.0'}, counted_drops=True, sweeps=60),
    Case('exceptions inside inference', module='faults.failing_node', parameters={'fail_every': '5'},
         counted_drops=True),
)
