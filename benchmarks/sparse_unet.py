"""MinkUNet18 (width 32) on a 64-beam sweep at 0.1 m: ours on two threads against spconv on one.

One thread is spconv's only correct setting on a CPU. Both sides begin with the voxels' features and cells and end with
the features of the finest voxels, index tables included; weights are the same, and so are the results. Ours runs as
deployed, with norms folded into convolutions (spconv's CPU build takes no bias); figures without folding and on one
thread are printed beside it. The best of the repeats counts, on both sides.
Run: ``python benchmarks/sparse_unet.py [--repeats 3]``.
"""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from time import perf_counter

import numpy as np
import torch
from _street_sweep import limit_threads, street_sweep
from torch import Tensor

from sam2amml_core.lidar.backbones.catalogue import create
from sam2amml_core.lidar.backbones.minkunet import MinkUNet
from sam2amml_core.lidar.preparation import in_range
from sam2amml_core.lidar.sparse.layers import fold_norms
from sam2amml_core.lidar.sparse.tables import halve, neighbour_table
from sam2amml_core.lidar.voxels import cell_means, voxelise
from training.recipe_files import find_recipe

STREET64 = find_recipe('street64')

THREADS = 2


def ours(network: MinkUNet, features: Tensor, cells: np.ndarray) -> Tensor:
    """From cells to features of the finest voxels, as ``preparation`` and the network do it."""
    inputs = {'features': features, 'near_0': torch.from_numpy(neighbour_table(cells))}
    for level in range(1, len(network.down) + 1):
        cells, down, up = halve(cells)
        inputs[f'down_{level}'], inputs[f'up_{level}'] = torch.from_numpy(down), torch.from_numpy(up)
        inputs[f'near_{level}'] = torch.from_numpy(neighbour_table(cells))
    return network.features(inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=3)
    options = parser.parse_args()
    limit_threads(THREADS)
    try:
        from _spconv_unet import SpconvUNet
    except ImportError as error:
        raise SystemExit(f'spconv is not installed ({error}); it is in the extra [dev]') from error
    cloud = street_sweep()
    valid = in_range(cloud, STREET64.sensor)
    xyz = cloud.xyz[valid]
    grid = voxelise(xyz, 0.1)
    means = cell_means(np.column_stack((xyz, cloud.intensity[valid])), grid.index, len(grid))
    features = torch.from_numpy(means / means.std(axis=0))
    cells = grid.cells - (grid.cells.min(axis=0) & ~15)  # aligned to the coarsest level, and none below 0
    torch.manual_seed(0)
    network = create('minkunet18', 19, STREET64.sensor).eval()
    if not isinstance(network, MinkUNet):
        raise SystemExit('minkunet18 is no MinkUNet')
    folded = deepcopy(network)
    fold_norms(folded)
    peer = SpconvUNet(network)
    spans: dict[str, list[float]] = {'spconv': [], 'ours': [], 'ours, 1 thread': [], 'ours, norms apart': []}
    results = {}
    with torch.inference_mode():
        for turn in range(options.repeats + 1):
            for name, threads in (('spconv', 1), ('ours', THREADS), ('ours, 1 thread', 1), ('ours, norms apart', 1)):
                torch.set_num_threads(threads)
                start = perf_counter()
                if name == 'spconv':
                    results[name] = peer(features, cells)
                else:
                    results[name] = ours(network if 'apart' in name else folded, features, cells)
                if turn:
                    spans[name].append(perf_counter() - start)
    scale = float(results['ours'].abs().max())
    for name, result in results.items():
        worst = float((result - results['spconv']).abs().max())
        print(f'{name}: {1e3 * min(spans[name]):.0f} ms, largest difference to spconv {worst:.1e} of {scale:.1f}')
        if worst > 1e-4 * scale:
            raise SystemExit('the results differ')
    mine, theirs = (1e3 * min(spans[name]) for name in ('ours', 'spconv'))
    print(json.dumps({'name': 'sparse-unet', 'ours': round(mine, 1), 'peer': round(theirs, 1),
                      'ratio': round(theirs / mine, 2), 'unit': 'ms', 'n': len(grid), 'threads': THREADS}))


if __name__ == '__main__':
    main()
