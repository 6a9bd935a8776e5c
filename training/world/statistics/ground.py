"""How much of a sweep lies on the ground, told from geometry alone, so that sweeps without labels can be compared."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep

CELL_M = 1.5
HEIGHT_M = 0.2
REACH_M = 40.0


def ground_share(sweep: MeasuredSweep) -> dict[str, float]:
    """Percent of the points within 40 m that lie less than 0.2 m above the lowest of their 1.5 m cell, where that
    lies below the sensor by more than a metre."""
    near = np.hypot(sweep.xyz[:, 0], sweep.xyz[:, 1]) < REACH_M
    xyz = sweep.xyz[near]
    cell = np.floor((xyz[:, :2] + REACH_M) / CELL_M).astype(np.int64)
    key = cell[:, 0] * 1000 + cell[:, 1]
    lowest = np.full(key.max() + 1, np.inf, np.float32)
    np.minimum.at(lowest, key, xyz[:, 2])
    low = lowest[key]
    on_ground = (xyz[:, 2] < low + HEIGHT_M) & (low < -1)
    return {'ground (by height), %': float(100 * on_ground.mean())}
