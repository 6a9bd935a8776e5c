"""The area of an image that a set of LiDAR points stands for: their patches, grown together."""

from __future__ import annotations

import cv2
import numpy as np

PRIOR_LOGIT = 6.0
"""Logit of a pixel that a mask prompt says is inside; minus this outside."""


def outline(pixel: np.ndarray, shape: tuple[int, int], reach: tuple[float, float]) -> np.ndarray:
    """bool [H, W]: each point covers the patch half way to its neighbours, gaps up to a missing point are closed.

    pixel  int [K, 2], column and row; points outside are left out
    shape  H, W
    reach  half the distance of neighbouring points across and down, pixels (``beam_reach``)
    """
    height, width = shape
    area = np.zeros(shape, np.uint8)
    column, row = pixel[:, 0], pixel[:, 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if not inside.any():
        return area.astype(bool)
    column, row = column[inside], row[inside]
    across, down = (max(1, round(r)) for r in reach)
    # only the box of the points has to be looked at
    margin_x, margin_y = 4 * across + 1, 4 * down + 1
    x0, y0 = max(0, int(column.min()) - margin_x), max(0, int(row.min()) - margin_y)
    x1, y1 = min(width, int(column.max()) + margin_x + 1), min(height, int(row.max()) + margin_y + 1)
    window = np.zeros((y1 - y0 + 2 * margin_y, x1 - x0 + 2 * margin_x), np.uint8)
    window[row - y0 + margin_y, column - x0 + margin_x] = 1
    window = cv2.dilate(window, np.ones((2 * down + 1, 2 * across + 1), np.uint8)).astype(np.uint8)
    closing = np.ones((6 * down + 1, 6 * across + 1), np.uint8)
    closed = cv2.morphologyEx(window, cv2.MORPH_CLOSE, closing)
    area[y0:y1, x0:x1] = closed[margin_y:margin_y + y1 - y0, margin_x:margin_x + x1 - x0]
    return area.astype(bool)


def prior_logits(area: np.ndarray) -> np.ndarray:
    """A mask prompt of an area bool [S, S]: float32 [S/4, S/4] in +-``PRIOR_LOGIT``."""
    size = (area.shape[1] // 4, area.shape[0] // 4)
    cover = cv2.resize(area.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray((2 * cover - 1) * PRIOR_LOGIT, np.float32)
