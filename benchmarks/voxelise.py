"""Voxels of a 64-beam sweep: integer keys and one sort against ``np.unique(axis=0, return_inverse=True)``.

Both start from the same points and give the same cells in the same order, and each point's cell.
Run: ``python benchmarks/voxelise.py [--voxel 0.1]``.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from _street_sweep import limit_threads, street_sweep
from _timing import median_ms

from sam2amml_core.lidar.preparation import in_range
from sam2amml_core.lidar.voxels import voxelise
from training.recipe_files import find_recipe

STREET64 = find_recipe('street64')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--voxel', type=float, default=0.1)
    parser.add_argument('--repeats', type=int, default=9)
    options = parser.parse_args()
    limit_threads(1)
    cloud = street_sweep()
    xyz = cloud.xyz[in_range(cloud, STREET64.sensor)]

    def peer() -> tuple[np.ndarray, np.ndarray]:
        cells = np.floor(xyz[:, ::-1] * np.float32(1 / options.voxel)).astype(np.int32)
        return np.unique(cells, axis=0, return_inverse=True)

    grid, (cells, index) = voxelise(xyz, options.voxel), peer()
    if not (np.array_equal(grid.cells, cells) and np.array_equal(grid.index, index.ravel())):
        raise SystemExit('the voxels differ')
    theirs = median_ms(peer, options.repeats)
    mine = median_ms(lambda: voxelise(xyz, options.voxel), 3 * options.repeats)
    print(f'{len(xyz)} points in {len(grid)} voxels of {options.voxel} m: the same cells and indices')
    print(json.dumps({'name': 'voxelise', 'ours': round(mine, 3), 'peer': round(theirs, 3),
                      'ratio': round(theirs / mine, 2), 'unit': 'ms', 'n': len(xyz), 'threads': 1}))


if __name__ == '__main__':
    main()
