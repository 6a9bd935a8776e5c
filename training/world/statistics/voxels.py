"""How densely surfaces are sampled: what a sparse convolution finds around each voxel."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep

SIZE_M = 0.1
_OFFSETS = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)]


def occupied_neighbours(sweep: MeasuredSweep) -> dict[str, float]:
    """Of the 26 neighbours of each occupied 0.1 m voxel, how many are occupied: mean, and mean within 15 m;
    percent of voxels with none; points per voxel."""
    voxel = np.floor(sweep.xyz / SIZE_M).astype(np.int64) + 4096
    key = np.unique((voxel[:, 0] << 40) | (voxel[:, 1] << 20) | voxel[:, 2])
    count = np.zeros(len(key), np.int64)
    for x, y, z in _OFFSETS:
        wanted = key + ((x << 40) + (y << 20) + z)
        at = np.searchsorted(key, wanted)
        found = key[np.minimum(at, len(key) - 1)] == wanted
        count += found
        np.add.at(count, at[found], 1)
    place = np.stack([key >> 40, (key >> 20) & 0xFFFFF, key & 0xFFFFF], 1) - 4096
    near = np.linalg.norm(place * SIZE_M, axis=1) < 15
    return {'occupied neighbours of 26': float(count.mean()), 'the same within 15 m': float(count[near].mean()),
            'voxels without neighbour, %': float(100 * (count == 0).mean()),
            'points per voxel': len(sweep.xyz) / len(key)}
