"""The synthetic world: sweeps a second of one core, 64 beams x 2048 firings with one camera of 1242 x 375 pixels.

There is no peer that does the same; the ratio is against the 2 frames a second that recording a data set asks for.
LiDAR alone and building the street are printed beside it. Run: ``python benchmarks/world.py [--sweeps 6]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from time import perf_counter

ONE_THREAD = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
WANTED_HZ = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sweeps', type=int, default=6, help='sweeps of each street')
    parser.add_argument('--streets', type=int, default=4)
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    import cv2

    from training.sweep_writer import FIRST_SEED
    from training.world.record import record, street_of
    from training.world.sensors import kitti_rig
    from training.world.settings import TEST

    cv2.setNumThreads(1)
    rig = kitti_rig(1)
    spans: dict[str, list[float]] = {'camera': [], 'lidar': [], 'build': []}
    for seed in range(FIRST_SEED['test'], FIRST_SEED['test'] + options.streets):
        start = perf_counter()
        street_of(seed, TEST, rig, options.sweeps)
        spans['build'].append(perf_counter() - start)
        for name, sensors in (('camera', rig), ('lidar', rig.without_cameras())):
            drive = record(seed, TEST, sensors, options.sweeps + 1)
            next(drive)  # builds the street
            start = perf_counter()
            count = sum(1 for _ in drive)
            spans[name].append((perf_counter() - start) / count)
    hz = {name: len(values) / sum(values) for name, values in spans.items()}
    print(json.dumps({
        'name': 'world', 'ours': round(hz['camera'], 2), 'peer': WANTED_HZ, 'ratio': round(hz['camera'] / WANTED_HZ, 2),
        'unit': 'frames/s', 'n': options.streets * options.sweeps, 'threads': 1,
        'lidar_only_hz': round(hz['lidar'], 2), 'build_street_s': round(1 / hz['build'], 2)}))


if __name__ == '__main__':
    main()
