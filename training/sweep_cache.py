"""Synthetic sweeps cached on disk: ray casting is paid once, training reads them many times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.labels import schema as find_schema
from training.labelled_sweep import LabelledSweep
from training.world.classes import NUSCENES_RAW, SEMANTIC_KITTI_RAW
from training.world.sweep import SyntheticSweep


def world_to_train(schema_name: str) -> np.ndarray:
    """Table uint8 [256] from world class ids to the train ids of a schema."""
    schema = find_schema(schema_name)
    raw = NUSCENES_RAW if schema_name == 'nuscenes' else SEMANTIC_KITTI_RAW
    table = np.zeros(256, np.uint8)
    table[:len(raw)] = schema.raw_to_train[raw.astype(np.int64)]
    return table


def save_sweep(path: Path, sweep: SyntheticSweep) -> None:
    """Write one sweep, atomically, with world class ids."""
    cloud = sweep.frame.cloud
    ring = cloud.ring if cloud.ring is not None else np.zeros(len(cloud), np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f'.{os.getpid()}.tmp')
    with scratch.open('wb') as stream:
        np.savez(stream, xyz=cloud.xyz, intensity=cloud.intensity.astype(np.float32), ring=ring.astype(np.uint8),
                 world_class=sweep.point_class)
    scratch.replace(path)


class CachedSweeps:
    """The sweeps of a cache folder with the train ids of a schema, without points that are not finite."""

    def __init__(self, folder: Path, schema_name: str) -> None:
        self.folder = folder
        self.files = sorted(folder.glob('*.npz'))
        self._table = world_to_train(schema_name)
        if not self.files:
            raise InputError(f'no cached sweeps in {folder}; write some with: sam2amml sweeps')

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> LabelledSweep:
        with np.load(self.files[index]) as content:
            sweep = LabelledSweep(content['xyz'], content['intensity'], content['ring'],
                                  self._table[content['world_class']])
        finite = np.isfinite(sweep.xyz).all(axis=1)
        return sweep if finite.all() else sweep.take(finite)

    def __iter__(self) -> Iterator[LabelledSweep]:
        return (self[i] for i in range(len(self)))

    def counts(self, classes: int) -> np.ndarray:
        """Points of each sweep by train id, int64 [sweeps, classes + 1]."""
        rows = []
        for file in self.files:
            with np.load(file) as content:
                rows.append(np.bincount(self._table[content['world_class']], minlength=classes + 1))
        return np.stack(rows)
