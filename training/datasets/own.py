"""Your own data set: a folder of sequences and a ``dataset.yaml`` that names classes and splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam2amml_core.errors import InputError
from sam2amml_core.labels import ClassSchema
from training.datasets.sequences import SequenceFolders

DATASET_FILE = 'dataset.yaml'


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class OwnClass(_Strict):
    """A class to learn: its name, RGB colour, and the raw ids in the label files that count to it, with their names.

    The first raw id is the one written in predictions.
    """

    name: str = Field(min_length=1)
    color: tuple[int, int, int]
    raw: dict[int, str] = Field(min_length=1)

    @model_validator(mode='after')
    def _ranges(self) -> OwnClass:
        if any(not 0 <= part <= 255 for part in self.color):
            raise ValueError(f'color {self.color} of class {self.name!r} must be red, green, blue in 0..255')
        wrong = [i for i in self.raw if not 0 <= i <= 65535]
        if wrong:
            raise ValueError(f'raw ids {wrong} of class {self.name!r} do not fit 16 bits (0..65535)')
        return self


class OwnDataset(_Strict):
    """The content of ``dataset.yaml``.

    clouds   kitti: N x 4 float32 (x y z intensity 0..1); nuscenes: N x 5 (intensity 0..255, ring)
    classes  train ids 1, 2, ... in this order
    ignored  raw ids that are neither learned nor scored, with their names
    splits   name of a split -> its sequence folders
    """

    name: str = Field(pattern=r'^[A-Za-z0-9_.-]+$')
    clouds: Literal['kitti', 'nuscenes'] = 'kitti'
    classes: tuple[OwnClass, ...] = Field(min_length=1, max_length=254)
    ignored: dict[int, str] = Field(default_factory=lambda: {0: 'unlabeled'})
    splits: dict[str, tuple[str, ...]] = Field(min_length=1)

    @model_validator(mode='after')
    def _consistent(self) -> OwnDataset:
        names = Counter(entry.name for entry in self.classes)
        double = [name for name, count in names.items() if count > 1 or name == 'unlabeled']
        if double:
            raise ValueError(f'class names {double} are given twice or reserved (unlabeled is train id 0)')
        ids = Counter(i for entry in self.classes for i in entry.raw) + Counter(self.ignored.keys())
        twice = sorted(i for i, count in ids.items() if count > 1)
        if twice:
            raise ValueError(f'raw ids {twice[:5]} belong to two classes, or to a class and to ignored')
        homes = Counter(scene for scenes in self.splits.values() for scene in set(scenes))
        shared = sorted(scene for scene, count in homes.items() if count > 1)
        if shared:
            raise ValueError(f'sequences {shared[:5]} are in two splits: scores would be of data trained on')
        empty = [name for name, scenes in self.splits.items() if not scenes]
        if empty:
            raise ValueError(f'splits {empty} name no sequence')
        return self

    def class_schema(self) -> ClassSchema:
        """The classes as the rest of the software knows them."""
        table = np.zeros(65536, np.uint8)
        for train_id, entry in enumerate(self.classes, 1):
            table[list(entry.raw)] = train_id
        raw_names = dict(self.ignored)
        for entry in self.classes:
            raw_names |= entry.raw
        ignored = min(self.ignored, default=0)
        return ClassSchema(
            name=self.name, names=('unlabeled', *(entry.name for entry in self.classes)),
            colors=np.array([(0, 0, 0), *(entry.color for entry in self.classes)], np.uint8),
            raw_names=dict(sorted(raw_names.items())), raw_to_train=table,
            train_to_raw=np.array([ignored, *(next(iter(entry.raw)) for entry in self.classes)], np.uint16))


def read_dataset_file(root: Path) -> OwnDataset:
    """``root/dataset.yaml``. Raises InputError saying which entry is wrong and why."""
    path = root / DATASET_FILE
    try:
        content: Any = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}; docs/your_own_dataset.md shows one') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f'{path} is not valid YAML: {" ".join(str(error).split())}') from error
    try:
        return OwnDataset.model_validate(content)
    except ValidationError as error:
        lines = (f'{".".join(map(str, e["loc"])) or "file"}: {e["msg"].removeprefix("Value error, ")}'
                 for e in error.errors()[:5])
        raise InputError(f'{path}: {"; ".join(lines)}; docs/your_own_dataset.md explains each entry') from error


def own_dataset(root: Path, split: str = 'train') -> SequenceFolders:
    """A split of the data set at ``root``, or with ``all`` every one. Raises InputError when a sequence is missing."""
    described = read_dataset_file(root)
    if split == 'all':
        scenes = tuple(scene for each in described.splits.values() for scene in each)
    elif split in described.splits:
        scenes = described.splits[split]
    else:
        raise InputError(f'{root / DATASET_FILE} has no split {split!r}; it has {", ".join(described.splits)}')
    missing = [scene for scene in scenes if not (root / scene).is_dir()]
    if missing:
        raise InputError(f'{root} lacks the sequence folders {", ".join(missing[:5])} of split {split!r}')
    return SequenceFolders([root / scene for scene in scenes], described.class_schema(), described.clouds == 'nuscenes')
