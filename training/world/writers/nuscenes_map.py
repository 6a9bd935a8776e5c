"""The picture of where one may drive that nuScenes keeps for every log."""

from __future__ import annotations

import cv2
import numpy as np

from training.world.classes import WORLD_ID
from training.world.ground import Ground

METRES_PER_PIXEL = 0.1
MARGIN_M = 20.0


def global_shift(ground: Ground) -> np.ndarray:
    """What to add to the street's x, y, z, float64 [3], so that all ground lies at positive x and y; whole metres."""
    low = _corners(ground).reshape(-1, 2).min(0)
    return np.array([*np.ceil(MARGIN_M - low), 0.0])


def drivable_mask(ground: Ground) -> np.ndarray:
    """uint8 [H, W]: 255 on road and parking, else 0; the lower left corner is global x = y = 0, rows go down."""
    corners = _corners(ground) + global_shift(ground)[:2]
    width, height = np.ceil((corners.reshape(-1, 2).max(0) + MARGIN_M) / METRES_PER_PIXEL).astype(int)
    pixels = np.rint(corners / METRES_PER_PIXEL).astype(np.int32)
    pixels[..., 1] = height - 1 - pixels[..., 1]
    mask = np.zeros((height, width), np.uint8)
    drivable = np.isin(ground.name, [WORLD_ID[name] for name in ('road', 'lane-marking', 'parking')])
    i, j = np.nonzero(drivable)
    for quad in np.stack([pixels[i, j], pixels[i + 1, j], pixels[i + 1, j + 1], pixels[i, j + 1]], 1):
        cv2.fillConvexPoly(mask, quad, 255)
    return mask


def _corners(ground: Ground) -> np.ndarray:
    return ground.course.plan(ground.s[:, None], ground.t[None, :])
