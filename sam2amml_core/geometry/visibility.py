"""Which projected LiDAR points does the camera see? A z-buffer made for sparse points and two viewpoints.

The LiDAR sits elsewhere than the camera and sees surfaces the camera cannot (over a car, past a corner): such points
project onto the surface that hides them. A z-buffer with one pixel per point misses nearly all of them, because a
near surface is only sampled every beam. So each point is splat as the patch of surface it stands for:

    half width  =  overlap/2 * f * beam spacing * (range from the LiDAR) / (depth in the camera)      [pixels]

which grows with the spacing of the beams and, for surfaces nearer to the camera than to the LiDAR, with nearness.
A point is hidden when a patch lies over it that is nearer by more than ``relative * depth + absolute``. Patches of
neighbouring beams hardly overlap, so a road seen at a grazing angle does not hide itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.distortion import undistort
from sam2amml_core.geometry.projection import ProjectedPoints, Projection


@dataclass(frozen=True)
class Occlusion:
    """Tolerances of the test; the defaults were chosen by precision and recall on simulated streets.

    overlap     size of a patch over the spacing of the beams
    relative    a patch hides what lies behind it by more than this share of the depth ...
    absolute_m  ... plus this, in metres
    """

    overlap: float = 1.1
    relative: float = 0.04
    absolute_m: float = 0.4


@dataclass(frozen=True)
class BeamSpacing:
    """Angles between neighbouring points as the LiDAR sees them, radians."""

    vertical: float
    horizontal: float


def visible(projection: Projection, cameras: Sequence[Camera], spacing: BeamSpacing | None = None,
            occlusion: Occlusion | None = None) -> np.ndarray:
    """bool [M, N]: point n is inside image m and not behind a nearer surface. See ``visible_points``."""
    seen = np.zeros((len(projection), projection.num_points), bool)
    for row, points, camera in zip(seen, projection, cameras, strict=True):
        row[points.index] = visible_points(points, camera, spacing, occlusion)
    return seen


def visible_points(points: ProjectedPoints, camera: Camera, spacing: BeamSpacing | None = None,
                   occlusion: Occlusion | None = None) -> np.ndarray:
    """bool [K] for the K points inside one image.

    spacing: of the LiDAR; estimated from the points themselves when not given (``estimate_spacing``).
    """
    if not len(points):
        return np.zeros(0, bool)
    occlusion = occlusion or Occlusion()
    spacing = spacing or estimate_spacing(points, camera)
    nearness = np.linalg.norm(lidar_points(points, camera), axis=1) / points.depth
    focal_x, focal_y = camera.projection[0, 0], camera.projection[1, 1]
    half = 0.5 * occlusion.overlap * np.stack((focal_x * spacing.horizontal * nearness,
                                               focal_y * spacing.vertical * nearness), axis=1)
    cell = np.maximum(1.0, np.quantile(half, 0.5, axis=0) / (1.0, 2.0))
    buffer, place = _splat(points, half, cell, camera)
    nearest = buffer[place[:, 1], place[:, 0]]
    return points.depth - nearest <= occlusion.relative * points.depth + occlusion.absolute_m


def lidar_points(points: ProjectedPoints, camera: Camera) -> np.ndarray:
    """The points back in the LiDAR frame, float64 [K, 3], from pixel and depth."""
    depth = points.depth[:, None].astype(np.float64)
    homogeneous = np.concatenate((points.uv * depth, depth), axis=1) - camera.projection[:, 3]
    optical = np.linalg.solve(camera.projection[:, :3], homogeneous.T)
    if camera.distortion is not None:
        x, y = undistort(optical[0] / optical[2], optical[1] / optical[2], camera.distortion)
        optical = np.stack((x, y, np.ones_like(x))) * depth.T
    pose = camera.T_camera_lidar
    return ((pose[:3, :3].T @ (optical - pose[:3, 3:])).T)


def estimate_spacing(points: ProjectedPoints, camera: Camera) -> BeamSpacing:
    """Beam spacing from the directions of the points: half-degree wedges of azimuth cut every beam once or more.

    Steps of elevation inside a wedge above 0.05 degrees are steps from beam to beam; their median is the vertical
    spacing, and points per beam in a wedge give the horizontal one. Falls back to 0.4 x 0.2 degrees on under 200
    points.
    """
    wedge_width = np.radians(0.5)
    if len(points) < 200:
        return BeamSpacing(np.radians(0.4), np.radians(0.2))
    x, y, z = lidar_points(points, camera).T
    elevation = np.arctan2(z, np.hypot(x, y))
    wedge = np.floor(np.arctan2(y, x) / wedge_width).astype(np.int64)
    order = np.lexsort((elevation, wedge))
    step = np.diff(elevation[order])
    same = np.diff(wedge[order]) == 0
    between = same & (step > np.radians(0.05))
    if not between.any():
        return BeamSpacing(np.radians(0.4), np.radians(0.2))
    wedges = len(np.unique(wedge))
    runs = int(between.sum()) + wedges
    return BeamSpacing(float(np.median(step[between])), float(wedge_width * runs / len(points)))


def _splat(points: ProjectedPoints, half: np.ndarray, cell: np.ndarray, camera: Camera
           ) -> tuple[np.ndarray, np.ndarray]:
    """Nearest patch depth in each cell, float32 [rows, columns], and each point's own cell int [K, 2]."""
    shape = np.ceil(np.array((camera.width, camera.height)) / cell).astype(np.int64)
    order = np.argsort(-points.depth, kind='stable')
    uv, depth = points.uv[order], points.depth[order]
    low = np.maximum(np.rint((uv - half[order]) / cell), 0).astype(np.int64)
    high = np.minimum(np.rint((uv + half[order]) / cell), shape).astype(np.int64)
    place = np.minimum((points.uv / cell).astype(np.int64), shape - 1)
    buffer = np.full(int(shape[0] * shape[1]), np.inf, np.float32)
    reach = np.minimum((high - low).max(axis=0), 24)
    layers = []
    for dy in range(int(reach[1])):
        for dx in range(int(reach[0])):
            covered = np.flatnonzero((low[:, 0] + dx < high[:, 0]) & (low[:, 1] + dy < high[:, 1]))
            layers.append((covered, (low[covered, 1] + dy) * shape[0] + low[covered, 0] + dx))
    for covered, target in layers:
        layer = np.full(len(buffer), np.inf, np.float32)
        layer[target] = depth[covered]
        np.minimum(buffer, layer, out=buffer)
    own = place[order, 1] * shape[0] + place[order, 0]
    layer = np.full(len(buffer), np.inf, np.float32)
    layer[own] = depth
    np.minimum(buffer, layer, out=buffer)
    return buffer.reshape(shape[1], shape[0]), place
