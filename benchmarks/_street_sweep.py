"""The sweep that the LiDAR benchmarks work on: 64 beams in a synthetic street, as the KITTI rig sees it."""

from __future__ import annotations

import os
import sys

from sam2amml_core.frame import PointCloud

THREAD_LIMITS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
SLEEPING = {'OMP_WAIT_POLICY': 'PASSIVE', 'GOMP_SPINCOUNT': '0'}
"""Threads that wait must not spin: beside other processes that costs many times what it saves."""


def limit_threads(count: int) -> None:
    """Start this process again with so many threads; libraries read the limits when they load."""
    limits = {**dict.fromkeys(THREAD_LIMITS, str(count)), **SLEEPING}
    if any(os.environ.get(name) != value for name, value in limits.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **limits})


def street_sweep() -> PointCloud:
    """About 120,000 points, sensor frame."""
    from training.world.record import record
    from training.world.sensors import kitti_rig
    from training.world.settings import TEST

    return next(iter(record(2_000_001, TEST, kitti_rig().without_cameras(), 1, 1))).frame.cloud
