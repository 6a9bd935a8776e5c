"""Synthetic sweeps with one picture each, against the two frames a second on one core that it is meant to give.

One sweep is a 64 x 2048 LiDAR turn, one 1242 x 375 picture, and the exact truth of both, drawn from a street that is
built before the clock starts. Run: ``python benchmarks/world.py [--sweeps 10]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from time import perf_counter

import cv2

from training.world.record import record
from training.world.sensors import kitti_rig
from training.world.settings import TEST

ONE_THREAD = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
PROMISED_HZ = 2.0
SEEDS = (1, 2, 3)


def seconds_per_sweep(seed: int, sweeps: int) -> float:
    """Mean over ``sweeps`` sweeps after the first, which also builds the street."""
    drive = record(seed, TEST, kitti_rig(cameras=1), sweeps + 1)
    next(drive)
    begin = perf_counter()
    for _ in drive:
        pass
    return (perf_counter() - begin) / sweeps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sweeps', type=int, default=10)
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    cv2.setNumThreads(1)
    each = [seconds_per_sweep(seed, options.sweeps) for seed in SEEDS]
    for seed, seconds in zip(SEEDS, each, strict=True):
        print(f'street {seed}: {1000 * seconds:.0f} ms per sweep and picture')
    ours = len(each) / sum(each)
    print(json.dumps({'name': 'world', 'ours': round(ours, 2), 'peer': PROMISED_HZ,
                      'ratio': round(ours / PROMISED_HZ, 2), 'unit': 'sweeps with one picture per second',
                      'n': len(SEEDS) * options.sweeps, 'threads': 1}))


if __name__ == '__main__':
    main()
