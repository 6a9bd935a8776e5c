"""Fills a cache folder with sweeps of many short drives through different synthetic streets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from sam2amml_core.errors import InputError
from training.sweep_cache import save_sweep
from training.world.record import record
from training.world.sensors import SensorRig, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS

logger = logging.getLogger(__name__)

FIRST_SEED = {'train': 0, 'validation': 1_000_000, 'test': 2_000_000}
"""Seeds of the splits lie far apart, so no world is in two of them."""


def lidar_rig(name: str) -> SensorRig:
    """The LiDAR of a rig without its cameras: ``kitti`` or ``nuscenes``."""
    if name == 'kitti':
        return kitti_rig().without_cameras()
    if name == 'nuscenes':
        return nuscenes_rig().without_cameras()
    raise InputError(f'no rig {name!r}; choose kitti or nuscenes')


def write_sweeps(folder: Path, rig: str, split: str, worlds: int, sweeps: int = 3, spacing_s: float = 2.0,
                 first: int = 0) -> Iterator[Path]:
    """Write and yield ``worlds * sweeps`` files; worlds that are complete already are skipped, so it can go on later.

    ``first`` is the first world's number within the split, ``spacing_s`` the time between the sweeps of one world.
    """
    if split not in SPLITS:
        raise InputError(f'no split {split!r}; choose one of {", ".join(SPLITS)}')
    sensors = lidar_rig(rig)
    every = max(1, round(spacing_s / sensors.lidar.period))
    for number in range(first, first + worlds):
        paths = [folder / f'world_{number:05d}_{i:02d}.npz' for i in range(sweeps)]
        if all(p.exists() for p in paths):
            continue
        drive = record(FIRST_SEED[split] + number, SPLITS[split], sensors, sweeps, every)
        for path, sweep in zip(paths, drive, strict=True):
            save_sweep(path, sweep)
            yield path
