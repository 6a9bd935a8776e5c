"""The words everything else speaks: a LiDAR sweep, a camera, an image of it, and both together.

Frames follow REP-103 (x forward, y left, z up; cameras are optical frames: z forward, x right, y down) unless a
dataset says otherwise. Transforms are named ``T_a_b``: 4x4 float64, they map points in b to a.
Stamps are integer nanoseconds of ROS time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sam2amml_core.errors import InputError

UNKNOWN = 255
"""Class id of a point the network could not label: not finite, or outside the sensor geometry it was made for."""


@dataclass(frozen=True, eq=False)
class PointCloud:
    """One LiDAR sweep of N points, in the sensor's own order.

    xyz        float32 [N, 3], metres, sensor frame; may hold NaN or inf (such points are labelled ``UNKNOWN``)
    intensity  float32 [N], 0..1
    time       float32 [N], seconds after ``stamp_ns``, or None
    ring       uint16 [N], beam index (0 = lowest), or None
    """

    xyz: np.ndarray
    intensity: np.ndarray
    time: np.ndarray | None = None
    ring: np.ndarray | None = None
    stamp_ns: int = 0
    frame_id: str = 'lidar'

    def __post_init__(self) -> None:
        if self.xyz.ndim != 2 or self.xyz.shape[1] != 3 or self.xyz.dtype != np.float32:
            raise InputError(f'cloud xyz is {self.xyz.dtype} {self.xyz.shape}; give float32 [N, 3] in metres')
        for name in ('intensity', 'time', 'ring'):
            values = getattr(self, name)
            if values is not None and values.shape != (len(self.xyz),):
                raise InputError(f'cloud {name} has shape {values.shape}; '
                                 f'give one value for each of {len(self.xyz)} points')

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class Distortion:
    """How a lens departs from a pinhole; ``model`` and ``coefficients`` as ``sensor_msgs/CameraInfo`` has them.

    plumb_bob            k1, k2, p1, p2[, k3]                       (Brown-Conrady)
    rational_polynomial  k1, k2, p1, p2, k3, k4, k5, k6
    equidistant          k1, k2, k3, k4                             (fisheye; Kannala and Brandt 2006)
    """

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera: a pinhole, or with ``distortion`` a lens in front of one.

    projection      float64 [3, 4]: ``depth * (u, v, 1) = projection @ (x, y, z, 1)`` with x, y, z metres in the
                    camera's optical frame; the fourth column carries a stereo baseline (KITTI's P2), else zero
    T_camera_lidar  float64 [4, 4]: LiDAR frame to the camera's optical frame
    distortion      None for rectified images; else ``projection`` is [K | 0] and is applied to ``(x', y', 1)``, which
                    the lens makes of ``(x / z, y / z)``; ``sam2amml_core.geometry.distortion`` has the formulas
    """

    name: str
    width: int
    height: int
    projection: np.ndarray
    T_camera_lidar: np.ndarray
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        if self.distortion is not None and self.projection.shape == (3, 4) and np.any(self.projection[:, 3] != 0):
            raise InputError(f'camera {self.name} has a lens distortion and a projection with an offset in its last '
                             'column; give K and put the offset into T_camera_lidar')
        if self.projection.shape != (3, 4):
            raise InputError(f'camera {self.name}: projection has shape {self.projection.shape}; give 3x4')
        if self.T_camera_lidar.shape != (4, 4):
            raise InputError(f'camera {self.name}: T_camera_lidar has shape {self.T_camera_lidar.shape}; give 4x4')
        if self.width <= 0 or self.height <= 0:
            raise InputError(f'camera {self.name}: image size {self.width} x {self.height} is empty')

    @property
    def matrix(self) -> np.ndarray:
        """The fused LiDAR-to-pixel matrix, float32 [3, 4], composed in float64; without the lens distortion."""
        return (self.projection @ self.T_camera_lidar).astype(np.float32)


@dataclass(frozen=True, eq=False)
class CameraView:
    """One image, uint8 [H, W, 3] RGB, taken by ``camera`` at ``stamp_ns``."""

    camera: Camera
    image: np.ndarray
    stamp_ns: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """A sweep and the images that belong to it (none, for a LiDAR alone)."""

    cloud: PointCloud
    views: tuple[CameraView, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class PointLabels:
    """What the segmenter says of each point, in the cloud's order.

    class_id     uint8 [N], train ids of the model's class schema (1 ..), ``UNKNOWN`` where no label is possible
    probability  float32 [N], of that class; 0 where unknown
    stage_ms     wall time of each processing stage, milliseconds
    """

    class_id: np.ndarray
    probability: np.ndarray
    stage_ms: dict[str, float] = field(default_factory=dict)
