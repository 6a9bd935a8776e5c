"""Sweeps cached by ``sam2amml sweeps`` as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.labels import schema as find_schema
from training.datasets.scans import Scan, Truth
from training.sweep_cache import world_to_train


class CachedScans:
    """The ``*.npz`` of a cache folder in the train ids of a schema. Raises InputError when there are none."""

    def __init__(self, folder: Path, schema_name: str) -> None:
        self.schema = find_schema(schema_name)
        self.folder = folder
        self._table = world_to_train(schema_name)
        names = sorted(path.stem for path in folder.glob('*.npz'))
        if not names:
            raise InputError(f'no cached sweeps in {folder}; write some with: sam2amml sweeps')
        self.scans: Sequence[Scan] = tuple(Scan(name, name.rpartition('_')[0] or name) for name in names)

    def __len__(self) -> int:
        return len(self.scans)

    def cloud(self, index: int) -> PointCloud:
        content = self._read(index)
        return PointCloud(content['xyz'], content['intensity'], ring=content['ring'].astype(np.uint16))

    def points(self, index: int) -> int:
        return len(self._read(index)['world_class'])

    def truth(self, index: int) -> Truth:
        label = self._table[self._read(index)['world_class']]
        return Truth(label, np.zeros(len(label), np.uint32))

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        return ()

    def _read(self, index: int) -> dict[str, np.ndarray]:
        path = self.folder / f'{self.scans[index].name}.npz'
        try:
            with np.load(path) as content:
                return {name: content[name] for name in ('xyz', 'intensity', 'ring', 'world_class')}
        except Exception as error:  # numpy raises many kinds on torn archives
            raise InputError(f'cached sweep {path} cannot be read: {error}; delete it and run sam2amml sweeps again'
                             ) from error
