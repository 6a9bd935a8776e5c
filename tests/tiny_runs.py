"""Runs of a tiny network on tiny made-up sweeps, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.frame import Frame, PointCloud
from training.recipe import Recipe
from training.recipe_files import recipe_from
from training.sweep_cache import save_sweep
from training.world.classes import WORLD_ID
from training.world.sweep import SyntheticSweep


def tiny_sweep(seed: int) -> SyntheticSweep:
    """Road, and boxes called cars on it, seen by 16 beams."""
    random = np.random.default_rng(seed)
    rows = np.deg2rad(np.linspace(1, -24, 16))
    azimuth, elevation = (a.ravel() for a in np.meshgrid(np.linspace(3.14, -3.14, 128), rows))
    flat_part = np.cos(elevation)
    direction = np.stack([flat_part * np.cos(azimuth), flat_part * np.sin(azimuth), np.sin(elevation)], -1)
    ground = np.where(direction[:, 2] < -0.02, -1.7 / np.minimum(direction[:, 2], -0.02), 60)
    car = np.abs(np.mod(azimuth * 3 + random.uniform(0, 6), 6.28) - 3) < 0.8
    distance = np.where(car, np.minimum(ground, random.uniform(6, 12)), ground)
    kept = distance < 60
    is_car = (distance < ground)[kept]
    cloud = PointCloud((direction * distance[:, None])[kept].astype(np.float32), np.full(kept.sum(), 0.3, np.float32),
                       ring=np.repeat(np.arange(15, -1, -1), 128)[kept].astype(np.uint16))
    classes = np.where(is_car, WORLD_ID['car'], WORLD_ID['road']).astype(np.uint8)
    return SyntheticSweep(Frame(cloud), classes, np.zeros(len(cloud), np.uint16), (), (), np.eye(4), np.eye(4))


def tiny_data(root: Path, train: int = 4, validation: int = 2) -> Path:
    """Cached sweeps in ``root/train`` and ``root/val``; return ``root``."""
    for split, first, count in (('train', 0, train), ('val', 100, validation)):
        for seed in range(first, first + count):
            save_sweep(root / split / f'world_{seed:05d}_00.npz', tiny_sweep(seed))
    return root


def tiny_recipe(root: Path, *changes: str) -> Recipe:
    """A few steps of a small network on the sweeps in ``root``."""
    content: dict[str, Any] = {
        'name': 'tiny', 'backbone': 'frustum_range_net',
        'sensor': {'beams': 16, 'fov_up_deg': 3, 'fov_down_deg': -25, 'image_height': 16, 'image_width': 64,
                   'sensor_height_m': 1.7},
        'normalisation': {
            'mean': {'x': 0, 'y': 0, 'z': -0.8, 'range': 12, 'intensity': 0.25, 'row_offset': 0, 'column_offset': 0},
            'std': {'x': 12, 'y': 10, 'z': 1.2, 'range': 12, 'intensity': 0.2, 'row_offset': 0.3,
                    'column_offset': 0.3}},
        'data': {'root': str(root), 'layout': 'cached', 'draw': 'balanced'},
        'losses': {'class_power': 0.5, 'points': 800, 'lovasz_points': 400},
        'loop': {'batch': 2, 'steps': 4, 'validate_every': 2, 'log_every': 1, 'ema': 0.9, 'workers': 0},
    }
    return recipe_from(content, 'tiny', changes)
