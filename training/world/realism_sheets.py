"""Contact sheets: real and synthetic sweeps and images one below the other, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sam2amml_core.labels import SEMANTIC_KITTI
from training.world.statistics.measured import MeasuredSweep

COLUMNS = 1024
VIEW_M = 40.0
SIDE = 480
FAR_M = 60.0


def range_picture(sweep: MeasuredSweep, beams: int, values: np.ndarray) -> np.ndarray:
    """uint8 [H, 1024, 3] BGR: a row for each beam, the middle looking forwards, black where nothing came back.

    ``values`` [N], 0..1, colours the points.
    """
    azimuth = np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0])
    column = np.clip(((0.5 - azimuth / (2 * np.pi)) * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
    order = np.argsort(-sweep.distance)
    image = np.zeros((beams, COLUMNS, 3), np.uint8)
    image[sweep.beam[order], column[order]] = _colors(values)[order]
    tall = 256 // beams
    return np.asarray(cv2.resize(image, (COLUMNS, beams * tall), interpolation=cv2.INTER_NEAREST))


def birds_eye(sweep: MeasuredSweep, values: np.ndarray | None = None) -> np.ndarray:
    """uint8 [480, 480, 3] BGR: 40 m around, forwards up; coloured by ``values`` [N], else class, else intensity."""
    pixel = ((VIEW_M - sweep.xyz[:, [0, 1]]) * (SIDE / (2 * VIEW_M))).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < SIDE)).all(1)
    if values is None and sweep.label is not None and sweep.names == SEMANTIC_KITTI.names:
        colors = SEMANTIC_KITTI.colors[sweep.label][:, ::-1]
    else:
        colors = _colors(np.clip(sweep.intensity, 0, 1) if values is None else values)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    order = np.flatnonzero(inside)[np.argsort(sweep.xyz[inside, 2])]
    image[pixel[order, 0], pixel[order, 1]] = colors[order]
    return image


def lidar_sheet(sweeps: Sequence[tuple[str, MeasuredSweep]], beams: int) -> np.ndarray:
    """uint8 BGR: for each named sweep its ranges and intensities as range images, and two bird's eye views."""
    rows = []
    for name, sweep in sweeps:
        scale = max(float(np.quantile(sweep.intensity, 0.98)), 0.05)
        bright = np.clip(sweep.intensity / scale, 0, 1)
        far = np.clip(sweep.distance / FAR_M, 0, 1)
        left = np.concatenate([range_picture(sweep, beams, 1 - far), range_picture(sweep, beams, bright)])
        left = np.asarray(cv2.resize(left, (COLUMNS, SIDE), interpolation=cv2.INTER_AREA))
        height = np.clip((sweep.xyz[:, 2] + 2.5) / 6, 0, 1)
        rows.append(_titled(np.concatenate([left, birds_eye(sweep, height), birds_eye(sweep)], axis=1), name))
    return np.concatenate(rows)


def image_sheet(groups: Sequence[tuple[str, Sequence[np.ndarray]]], width: int = 620, columns: int = 3) -> np.ndarray:
    """uint8 BGR: named groups of RGB images as a grid."""
    rows = []
    for name, images in groups:
        shape = images[0].shape
        size = (width, round(width * shape[0] / shape[1]))
        small = [np.asarray(cv2.resize(i[..., ::-1], size, interpolation=cv2.INTER_AREA)) for i in images]
        small += [np.zeros_like(small[0])] * (-len(small) % columns)
        grid = [np.concatenate(small[i:i + columns], axis=1) for i in range(0, len(small), columns)]
        rows.append(_titled(np.concatenate(grid), name))
    return np.concatenate(rows)


def _colors(values: np.ndarray) -> np.ndarray:
    """uint8 [N, 3] BGR of values 0..1."""
    levels = (np.clip(values, 0, 1) * 255).astype(np.uint8)[:, None]
    return np.maximum(np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO))[:, 0], 1)


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    bar = np.full((26, image.shape[1], 3), 40, np.uint8)
    cv2.putText(bar, title, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([bar, image])
