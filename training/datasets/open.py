"""Which reader a data set needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.labels import ClassSchema
from training.datasets.cached import CachedScans
from training.datasets.fractions import chosen
from training.datasets.nuscenes import NuScenesLidarseg
from training.datasets.own import DATASET_FILE, own_dataset
from training.datasets.scans import Scan, ScanSet, Truth
from training.datasets.sequences import semantic_kitti

Format = Literal['auto', 'semantic_kitti', 'nuscenes', 'own', 'cached']


def open_split(root: Path, split: str, kind: Format = 'auto', schema: str = 'semantic_kitti') -> ScanSet:
    """A split of the data set at ``root``; ``auto`` goes by what lies there. ``schema`` is for cached sweeps, whose
    folder is ``root/split``. Raises InputError saying what was looked for."""
    if not root.is_dir():
        raise InputError(f'data set folder {root} is not there')
    found = kind if kind != 'auto' else recognise(root, split)
    if found == 'own':
        return own_dataset(root, split)
    if found == 'nuscenes':
        return NuScenesLidarseg(root, split)
    if found == 'semantic_kitti':
        return semantic_kitti(root, split)
    return CachedScans(root / split if (root / split).is_dir() else root, schema)


def recognise(root: Path, split: str) -> Format:
    """The layout of a folder. Raises InputError when it is none of them."""
    if (root / DATASET_FILE).is_file():
        return 'own'
    if (root / 'sequences').is_dir() or (root / 'dataset' / 'sequences').is_dir():
        return 'semantic_kitti'
    if (root / 'sample_data.json').is_file() or any(root.glob('v1.0-*')):
        return 'nuscenes'
    if any((root / split).glob('*.npz')) or any(root.glob('*.npz')):
        return 'cached'
    raise InputError(f'{root} is no data set: looked for {DATASET_FILE}, sequences (SemanticKITTI), v1.0-* (nuScenes) '
                     'and *.npz (cached sweeps)')


@dataclass(frozen=True, eq=False)
class Subset:
    """Some scans of another set, as a set."""

    whole: ScanSet
    indices: Sequence[int]

    @property
    def schema(self) -> ClassSchema:
        return self.whole.schema

    @cached_property
    def scans(self) -> Sequence[Scan]:
        return [self.whole.scans[i] for i in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def cloud(self, index: int) -> PointCloud:
        return self.whole.cloud(self.indices[index])

    def points(self, index: int) -> int:
        return self.whole.points(self.indices[index])

    def truth(self, index: int) -> Truth | None:
        return self.whole.truth(self.indices[index])

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        return self.whole.views(self.indices[index], images)


@dataclass(frozen=True, eq=False)
class WithoutLabels(Subset):
    """Some scans of another set, whose labels are not even read: all 0."""

    def truth(self, index: int) -> Truth:
        points = self.points(index)
        return Truth(np.zeros(points, np.uint8), np.zeros(points, np.uint32))


def rest_of(data: ScanSet, fraction: float) -> WithoutLabels:
    """The scans that ``share_of`` leaves out, without their labels. Raises InputError when there is none."""
    taken = set(chosen(data.scans, fraction))
    rest = [i for i in range(len(data)) if i not in taken]
    if not rest:
        raise InputError(f'a fraction of {fraction:g} takes all {len(data)} scans; none is left without labels')
    return WithoutLabels(data, rest)


def share_of(data: ScanSet, fraction: float) -> ScanSet:
    """The fixed ``fraction`` of a set, see ``fractions.chosen``."""
    return data if fraction == 1 else Subset(data, chosen(data.scans, fraction))
