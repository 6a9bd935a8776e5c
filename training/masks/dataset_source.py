"""The images of a split of a data set, for making masks: an ``InputSource`` over what training reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sam2amml_core.frame import Frame
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.source import InputSource
from sam2amml_core.labels import NUSCENES
from training.datasets.open import open_split
from training.datasets.scans import Scan


class DataSetSource:
    """Sweeps are named SCENE/SWEEP, as their files are. Raises InputError as ``open_split`` does."""

    kind = 'data set'

    def __init__(self, root: Path, split: str, images: bool = True) -> None:
        self._data = open_split(root, split)
        self._images = images
        self._index = {name_of(scan): number for number, scan in enumerate(self._data.scans)}
        self.schema = self._data.schema.name
        self.model = 'street32' if self._data.schema is NUSCENES else 'street64'

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for number, scan in enumerate(self._data.scans):
            yield name_of(scan), Frame(self._data.cloud(number), self._data.views(number, self._images))

    def truth(self, name: str) -> np.ndarray | None:
        """Raw class ids uint32 [N], or None."""
        truth = self._data.truth(self._index[name])
        return None if truth is None else self._data.schema.train_to_raw[truth.label].astype(np.uint32)


def name_of(scan: Scan) -> str:
    """SCENE/SWEEP, as the mask store calls it."""
    return f'{scan.scene}/{scan.stem}'


def open_source(path: Path, split: str, images: bool = True) -> InputSource:
    """A recording, or with ``split`` the data set that ``path`` is the root of."""
    return DataSetSource(path, split, images) if split else open_input(path, images)
