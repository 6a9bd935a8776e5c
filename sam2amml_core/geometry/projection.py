"""LiDAR points into all cameras at once: one fused matrix product, float32, early cull, sparse result.

For camera m with fused matrix ``P T`` (3x4, composed in float64) and image size W x H, write its rows u, v, d (depth).
The symmetric rows  a = 2u/W - d  and  b = 2v/H - d  put the image at |a| <= d, |b| <= d, so depth and bounds are tested
before any division, and the pixel follows only for the points that pass:  (u, v)/d = ((a/d + 1) W/2, (b/d + 1) H/2).
Centring on the image also keeps float32 rounding under 1e-3 px. All cameras go through one BLAS call per block of
points that stays in the cache.

For a camera with a lens distortion the box of rays that can reach the image takes the place of the image; only points
inside the box are distorted, and those beyond the lens model's valid radius, which it would fold back, are culled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, Distortion
from sam2amml_core.geometry.distortion import distort, ray_box, valid_radius

MIN_DEPTH_M = 0.5
"""Points nearer than this along the optical axis are not projected: what lies there is the vehicle itself."""

BLOCK = 8192
"""Points per matrix product: six cameras then take 0.6 MB, which fits a level 2 cache."""

SLACK = 2e-6
"""Widening of the cull, so that rounding loses no point on the border; the exact test follows on (u, v)."""


@dataclass(frozen=True, eq=False)
class ProjectedPoints:
    """The K points of a cloud that fall into one camera's image.

    index  int64 [K], their place in the cloud, ascending
    uv     float32 [K, 2], continuous pixel coordinates (u right, v down), 0 <= u < width, 0 <= v < height
    depth  float32 [K], metres along the optical axis
    """

    index: np.ndarray
    uv: np.ndarray
    depth: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def pixel(self) -> np.ndarray:
        """int32 [K, 2], column and row: the floor of ``uv``."""
        return self.uv.astype(np.int32)


@dataclass(frozen=True, eq=False)
class Projection:
    """A cloud of N points in M cameras: ``projection[m]`` is ``ProjectedPoints``; dense arrays are made when asked for.

    The dense arrays ``uv`` float32 [M, N, 2] and ``depth`` float32 [M, N] hold NaN where ``inside`` bool [M, N] is
    False.
    """

    cameras: tuple[ProjectedPoints, ...]
    num_points: int

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, camera: int) -> ProjectedPoints:
        return self.cameras[camera]

    def __iter__(self) -> Iterator[ProjectedPoints]:
        return iter(self.cameras)

    @cached_property
    def inside(self) -> np.ndarray:
        dense = np.zeros((len(self.cameras), self.num_points), bool)
        for row, points in zip(dense, self.cameras, strict=True):
            row[points.index] = True
        return dense

    @cached_property
    def uv(self) -> np.ndarray:
        dense = np.full((len(self.cameras), self.num_points, 2), np.nan, np.float32)
        for row, points in zip(dense, self.cameras, strict=True):
            row[points.index] = points.uv
        return dense

    @cached_property
    def depth(self) -> np.ndarray:
        dense = np.full((len(self.cameras), self.num_points), np.nan, np.float32)
        for row, points in zip(dense, self.cameras, strict=True):
            row[points.index] = points.depth
        return dense


def project(xyz: np.ndarray, cameras: Sequence[Camera], min_depth: float = MIN_DEPTH_M) -> Projection:
    """Project points float32 [N, 3] (metres, LiDAR frame) into every camera.

    A point is inside an image when its depth is at least ``min_depth`` and the floor of (u, v) is a pixel of it;
    NaN and infinite points never are. Pixels differ from the float64 chain by less than 1e-3.
    Raises InputError when ``xyz`` is not [N, 3] or ``min_depth`` not above 0.
    """
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise InputError(f'points have shape {xyz.shape}; give [N, 3] in metres')
    if not min_depth > 0:
        raise InputError(f'min_depth is {min_depth}; give a depth above 0 m')
    if not cameras:
        return Projection((), len(xyz))
    rows = _symmetric_rows(cameras)
    count, block = len(cameras), max(1, min(BLOCK, len(xyz)))
    found = [_project_block(xyz[start:start + block], start, rows, count, min_depth)
             for start in range(0, max(1, len(xyz)), block)]
    by_camera = zip(*found, strict=True)
    return Projection(tuple(_gather(list(runs), camera) for runs, camera in zip(by_camera, cameras, strict=True)),
                      len(xyz))


def _symmetric_rows(cameras: Sequence[Camera]) -> np.ndarray:
    """float32 [3 M, 4]: rows a of all cameras, then rows b, then depth rows."""
    windows = [_window(camera) for camera in cameras]
    fused = np.stack([window[0] @ camera.T_camera_lidar for window, camera in zip(windows, cameras, strict=True)])
    size = np.array([window[1] for window in windows], np.float64)
    depth = fused[:, 2]
    a = 2 * fused[:, 0] / size[:, :1] - depth
    b = 2 * fused[:, 1] / size[:, 1:] - depth
    return np.concatenate((a, b, depth)).astype(np.float32)


def _window(camera: Camera) -> tuple[np.ndarray, tuple[float, float]]:
    """Projection [3, 4] and size of what points are culled against: the image, or a lens's box of rays."""
    if camera.distortion is None:
        return camera.projection, (camera.width, camera.height)
    x0, x1, y0, y1 = ray_box(camera)
    return np.array([[1, 0, -x0, 0], [0, 1, -y0, 0], [0, 0, 1, 0]], np.float64), (x1 - x0, y1 - y0)


def _project_block(xyz: np.ndarray, start: int, rows: np.ndarray, count: int, min_depth: float
                   ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The candidates of one block for each camera: (index, a/d, b/d, d)."""
    width = len(xyz)
    homogeneous = np.empty((4, width), np.float32)
    homogeneous[:3] = xyz.T
    homogeneous[3] = 1
    with np.errstate(invalid='ignore', over='ignore'):
        image = np.matmul(rows, homogeneous)
        a, b, depth = image[:count], image[count:2 * count], image[2 * count:]
        reach = np.abs(a)
        np.maximum(reach, np.abs(b), out=reach)
        reach *= np.float32(1 - SLACK)
        np.maximum(reach, np.float32(min_depth), out=reach)
        chosen = np.flatnonzero(reach <= depth)
        depth = depth.ravel().take(chosen)
        x = a.ravel().take(chosen)
        y = b.ravel().take(chosen)
        np.divide(x, depth, out=x)
        np.divide(y, depth, out=y)
    ends = np.searchsorted(chosen, np.arange(count + 1) * width).tolist()
    return [(chosen[ends[m]:ends[m + 1]] + (start - m * width), x[ends[m]:ends[m + 1]], y[ends[m]:ends[m + 1]],
             depth[ends[m]:ends[m + 1]]) for m in range(count)]


def _gather(runs: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]], camera: Camera) -> ProjectedPoints:
    """One camera's candidates of all blocks as pixels, tested once more on the pixel itself."""
    index, x, y, depth = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    uv = np.empty((len(index), 2), np.float32)
    if camera.distortion is None:
        for column, values, half in ((0, x, camera.width / 2), (1, y, camera.height / 2)):
            values += np.float32(1)
            np.multiply(values, np.float32(half), out=uv[:, column])
        kept = np.ones(len(index), bool)
    else:
        kept = _through_lens(x, y, camera, camera.distortion, uv)
    u, v = uv[:, 0], uv[:, 1]
    kept &= (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    if not kept.all():
        index, uv, depth = index[kept], uv[kept], depth[kept]
    return ProjectedPoints(index, uv, depth)


def _through_lens(x: np.ndarray, y: np.ndarray, camera: Camera, lens: Distortion, uv: np.ndarray) -> np.ndarray:
    """Fill in ``uv`` float32 [K, 2] of points at (x, y) float32 [K] in -1..1 of the box; True where the lens is valid.
    """
    x0, x1, y0, y1 = ray_box(camera)
    x = x * np.float32((x1 - x0) / 2) + np.float32((x0 + x1) / 2)
    y = y * np.float32((y1 - y0) / 2) + np.float32((y0 + y1) / 2)
    valid = x * x + y * y <= np.float32(valid_radius(lens) ** 2)
    with np.errstate(all='ignore'):
        x, y = distort(x, y, lens)
    (fx, skew, cx), (_, fy, cy) = camera.projection[:2, :3].astype(np.float32)
    uv[:, 0] = fx * x + skew * y + cx
    uv[:, 1] = fy * y + cy
    return valid
