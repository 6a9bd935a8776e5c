"""What every data set of labelled sweeps offers, and how one of its sweeps becomes training data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.labels import ClassSchema
from training.labelled_sweep import LabelledSweep

MASKS_PER_SCAN = 1 << 20
"""Mask ids of scan i are ``i * MASKS_PER_SCAN + id``: those of two scans never meet, whatever is mixed."""

ROWS = 64
"""Rows of elevation that stand in for beams where a file does not tell them."""


@dataclass(frozen=True)
class Scan:
    """One sweep of a data set: its ``name``, unique there, and the ``scene`` it is of.

    file  what its files are called where that is not the end of the name
    """

    name: str
    scene: str
    file: str = ''

    @property
    def stem(self) -> str:
        """What files made for it are called."""
        return self.file or self.name.rpartition('/')[2]


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels of the N points of a sweep, in the order of the file.

    label     uint8 [N], train ids, 0 = ignored
    instance  uint32 [N], 0 = none; unique within a scene, if the data set tells objects apart at all
    """

    label: np.ndarray
    instance: np.ndarray


class ScanSet(Protocol):
    """A split of a data set. Every method raises InputError naming the file that is missing or corrupt."""

    @property
    def schema(self) -> ClassSchema: ...

    @property
    def scans(self) -> Sequence[Scan]: ...

    def __len__(self) -> int: ...

    def cloud(self, index: int) -> PointCloud:
        """All points of the sweep, also those that are not finite, x forward."""

    def points(self, index: int) -> int:
        """Number of points of the sweep, without reading them."""

    def truth(self, index: int) -> Truth | None:
        """Labels of all points; None where the split is published without."""

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        """The cameras of the sweep, the vehicle's motion between the stamps in their extrinsics; without ``images``
        their pixels are empty arrays [0, 0, 3]."""


MaskIds = Callable[[ScanSet, int], np.ndarray]
"""Ids of the masks that the points of a scan fall into, integers [N], 0 = none."""


def to_train(schema: ClassSchema, raw: np.ndarray, source: object) -> np.ndarray:
    """Train ids uint8 [N] of raw class ids [N], by table. Raises InputError for ids the schema does not know."""
    known = np.zeros(65536, bool)
    known[list(schema.raw_names)] = True
    raw = raw.astype(np.int64)
    strange = np.unique(raw[(raw > 65535) | ~known[np.minimum(raw, 65535)]])
    if strange.size:
        ids = ', '.join(map(str, strange[:5].tolist()))
        raise InputError(f'labels {source} hold raw ids {ids} that schema {schema.name!r} does not know; are they of '
                         'another data set, or train ids already?')
    return schema.raw_to_train[raw]


def read_sweep(data: ScanSet, index: int, masks: MaskIds | None = None) -> LabelledSweep:
    """Finite points of a labelled sweep with the masks they fall into. Raises InputError naming the scan."""
    scan = data.scans[index]
    cloud = data.cloud(index)
    truth = data.truth(index)
    if truth is None:
        raise InputError(f'scan {scan.name} has no labels: a test split cannot be trained or scored on')
    mask_id = np.zeros(len(cloud), np.int64)
    if masks is not None:
        own = masks(data, index)
        if own.shape != mask_id.shape:
            raise InputError(f'masks of scan {scan.name} are for {len(own)} points, its cloud has {len(cloud)}; '
                             'make them again')
        if len(own) and int(own.max()) >= MASKS_PER_SCAN:
            raise InputError(f'masks of scan {scan.name} have ids up to {own.max()}; at most {MASKS_PER_SCAN - 1}')
        mask_id = np.where(own > 0, own.astype(np.int64) + index * MASKS_PER_SCAN, 0)
    ring = elevation_rows(cloud.xyz) if cloud.ring is None else np.minimum(cloud.ring, 255).astype(np.uint8)
    sweep = LabelledSweep(cloud.xyz, cloud.intensity, ring, truth.label, mask_id, truth.instance)
    with np.errstate(invalid='ignore'):  # a sum is finite if all of its terms are, and quicker to look at
        finite = np.isfinite(np.einsum('ij->i', cloud.xyz) + cloud.intensity)
    return sweep if finite.all() else sweep.take(finite)


def size_of(path: Path) -> int:
    """Bytes of a file. Raises InputError when it is not there."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f'cloud {path} cannot be read: {error.strerror}') from error


def elevation_rows(xyz: np.ndarray, low_deg: float = -30.0, high_deg: float = 5.0) -> np.ndarray:
    """uint8 [N], 0 = lowest: in which of ``ROWS`` equal bands of elevation each point lies; NaN: 0."""
    with np.errstate(all='ignore'):
        elevation = np.degrees(np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1])))
    row = (np.nan_to_num(elevation, nan=low_deg) - low_deg) / (high_deg - low_deg) * ROWS
    return np.clip(row, 0, ROWS - 1).astype(np.uint8)
