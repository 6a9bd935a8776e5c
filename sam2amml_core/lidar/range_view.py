"""Frustum-range view: sorts the points of a sweep into the cells of a cylindrical image around the sensor.

A cell is a frustum: one row of elevation by one column of azimuth. As in FRNet (Xu et al., 2023) every point keeps
its own features and its own prediction; the image only says which points share a frustum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.frame import PointCloud

FEATURES = ('x', 'y', 'z', 'range', 'intensity', 'row_offset', 'column_offset')
"""Point features the network sees: metres, intensity 0..1, and the position inside the frustum, -0.5..0.5 cells."""


@dataclass(frozen=True, eq=False)
class RangeView:
    """A sweep of N points as the network sees it; V of them lie inside the sensor geometry.

    valid     bool [N]: finite and inside the sensor's range and field of view
    features  float32 [V, len(FEATURES)], normalised
    pixel     int64 [V], row * image_width + column
    """

    valid: np.ndarray
    features: np.ndarray
    pixel: np.ndarray


def make_range_view(cloud: PointCloud, sensor: SensorGeometry, normalisation: Normalisation) -> RangeView:
    """Find every point's frustum and features; points that are not finite or outside the geometry drop out."""
    x, y, z = (np.ascontiguousarray(cloud.xyz[:, i]) for i in range(3))
    intensity = cloud.intensity.astype(np.float32, copy=False)
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        ground = x * x + y * y
        distance = np.sqrt(ground + z * z)
        tangent = z / np.sqrt(ground)  # of the elevation
        margin = sensor.fov_margin_deg
        low, high = (np.tan(np.deg2rad(np.clip(a, -89.9, 89.9)))
                     for a in (sensor.fov_down_deg - margin, sensor.fov_up_deg + margin))
        # comparisons with NaN are false, so points that are not finite drop out here
        valid = (distance >= sensor.min_range_m) & (distance <= sensor.max_range_m)
        valid &= (tangent >= low) & (tangent <= high)
        valid &= np.isfinite(intensity)
    if not valid.all():
        x, y, z, distance, tangent, intensity = (a[valid] for a in (x, y, z, distance, tangent, intensity))
    row, row_offset = _row(tangent, sensor)
    column, column_offset = _column(x, y, sensor)
    features = np.empty((len(x), len(FEATURES)), np.float32)
    for i, (name, values) in enumerate(zip(FEATURES, (x, y, z, distance, intensity, row_offset, column_offset),
                                           strict=True)):
        std = np.float32(normalisation.std[name])
        np.multiply(values - np.float32(normalisation.mean[name]), np.float32(1) / std, out=features[:, i])
    pixel = row.astype(np.int64)
    pixel *= sensor.image_width
    pixel += column
    return RangeView(valid, features, pixel)


def _row(tangent: np.ndarray, sensor: SensorGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Row of the image from the elevation's tangent (0 = top), and the offset from the row's centre in rows."""
    up = np.float32(np.deg2rad(sensor.fov_up_deg))
    rows_per_rad = np.float32(sensor.image_height / np.deg2rad(sensor.fov_up_deg - sensor.fov_down_deg))
    position = (up - np.arctan(tangent)) * rows_per_rad
    row = np.clip(position, 0, sensor.image_height - 1).astype(np.int32)
    offset = np.clip(position - row - np.float32(0.5), -0.5, 0.5)
    return row, offset


def _column(x: np.ndarray, y: np.ndarray, sensor: SensorGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Column of the image from the azimuth (the middle looks along +x, columns go clockwise), and its offset."""
    width = sensor.image_width
    position = np.float32(width / 2) - np.arctan2(y, x) * np.float32(width / (2 * np.pi))
    column = position.astype(np.int32)  # position is in 0..width, never negative
    offset = position - column - np.float32(0.5)
    column[column >= width] = 0
    return column, offset


def range_image(values: np.ndarray, pixel: np.ndarray, distance: np.ndarray, sensor: SensorGeometry,
                fill: float = 0) -> np.ndarray:
    """Picture of per-point values [V, ...] in the range view, [H, W, ...]; where points share a cell the nearest wins.

    ``distance`` [V] in metres orders the points; empty cells hold ``fill``.
    """
    image = np.full((sensor.pixels, *values.shape[1:]), fill, values.dtype)
    order = np.argsort(-distance, kind='stable')
    image[pixel[order]] = values[order]
    return image.reshape(sensor.image_height, sensor.image_width, *values.shape[1:])
