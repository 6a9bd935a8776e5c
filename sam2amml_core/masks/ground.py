"""Which points lie on the ground: below a smooth surface under all others."""

from __future__ import annotations

import numpy as np

CELL_M = 1.0
WINDOW = 9
"""Cells; things narrower than this stand on the ground, wider ones may be taken for it."""

CLEARANCE_M = 0.25


def is_ground(xyz: np.ndarray, clearance: float = CLEARANCE_M) -> np.ndarray:
    """bool [K] of points float32 [K, 3], metres, z up: at most ``clearance`` above the ground surface.

    The surface is the lowest point of each cell of 1 m, opened (Serra 1982) with a window wider than vehicles: erosion
    takes objects away, dilation gives slopes back.
    """
    from scipy import ndimage

    if not len(xyz):
        return np.zeros(0, bool)
    cell = np.floor(xyz[:, :2] / CELL_M).astype(np.int32)
    low = cell.min(axis=0)
    shape = cell.max(axis=0) - low + 1
    place = (cell[:, 0] - low[0]) * shape[1] + cell[:, 1] - low[1]
    lowest = np.full(int(shape[0]) * int(shape[1]), np.inf, np.float32)
    np.minimum.at(lowest, place, xyz[:, 2])
    surface = lowest.reshape(shape)
    empty = ~np.isfinite(surface)
    if empty.any():
        nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
        surface = surface[tuple(nearest)]
    opened = ndimage.grey_opening(surface, size=(WINDOW, WINDOW))
    smooth = ndimage.uniform_filter(opened, size=3)
    return xyz[:, 2] - smooth.ravel()[place] < clearance
