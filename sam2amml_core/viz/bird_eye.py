"""A sweep from above."""

from __future__ import annotations

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.viz.dots import draw_dots

BACKGROUND = (18, 18, 22)
RING_COLOR = (48, 48, 56)
RING_M = 10.0
"""Faint circles every this many metres."""


def bird_eye(xyz: np.ndarray, colors: np.ndarray, reach_m: float = 50.0, size: int = 900, dot: int = 2) -> np.ndarray:
    """Points float32 [N, 3] with colours uint8 [N, 3] as uint8 [size, size, 3] RGB: x points up, y to the left.

    Shows ``reach_m`` around the sensor; higher points lie over lower ones, NaN and farther points are left out.
    Raises InputError when the shapes do not fit or a size is not above 0.
    """
    if xyz.ndim != 2 or xyz.shape[1] != 3 or colors.shape != xyz.shape:
        raise InputError(f'{xyz.shape} points and {colors.shape} colours do not fit; give [N, 3] of both')
    if not reach_m > 0 or size <= 0 or dot <= 0:
        raise InputError(f'reach_m is {reach_m}, size {size}, dot {dot}; give numbers above 0')
    with np.errstate(invalid='ignore'):
        shown = np.flatnonzero((np.abs(xyz[:, :2]) < reach_m).all(axis=1) & np.isfinite(xyz[:, 2]))
    shown = shown[np.argsort(xyz[shown, 2], kind='stable')]
    scale = size / (2 * reach_m)
    place = np.stack(((reach_m - xyz[shown, 1]) * scale, (reach_m - xyz[shown, 0]) * scale), axis=1).astype(np.int64)
    image = _background(reach_m, size)
    draw_dots(image, place, colors[shown], dot)
    return image


def _background(reach_m: float, size: int) -> np.ndarray:
    axis = (np.arange(size) + 0.5) / size * 2 * reach_m - reach_m
    distance = np.hypot(axis[:, None], axis[None])
    pixel = 2 * reach_m / size
    ring = (np.abs(distance - RING_M * np.rint(distance / RING_M)) < 0.6 * pixel) & (distance > RING_M / 2)
    image = np.empty((size, size, 3), np.uint8)
    image[:] = BACKGROUND
    image[ring] = RING_COLOR
    return image
