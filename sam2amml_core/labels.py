"""Class schemas: what the classes of a data set are called, coloured and numbered, raw and for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sam2amml_core.errors import InputError


@dataclass(frozen=True, eq=False)
class ClassSchema:
    """The C classes of a data set; a train id is a position in ``names``, 0 is ``unlabeled`` and ignored.

    names         by train id, length C + 1
    colors        uint8 [C + 1, 3], RGB
    raw_names     what every raw id means
    raw_to_train  uint8 [65536]; raw ids the schema does not know become 0
    train_to_raw  uint16 [C + 1], the raw id written for each class
    """

    name: str
    names: tuple[str, ...]
    colors: np.ndarray
    raw_names: dict[int, str]
    raw_to_train: np.ndarray = field(repr=False)
    train_to_raw: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def check_raw_names(self, found: Mapping[int, str], source: str) -> None:
        """Raises ``InputError`` if ``source`` numbers its raw classes otherwise than this schema."""
        wrong = [f'{i} is {name!r} there, {self.raw_names[i]!r} here' for i, name in found.items()
                 if i in self.raw_names and self.raw_names[i] != name]
        unknown = [f'{i} ({name})' for i, name in found.items() if i not in self.raw_names]
        if wrong or unknown:
            detail = '; '.join(wrong[:3] or [f'unknown ids {", ".join(unknown[:3])}'])
            raise InputError(f'{source} does not follow schema {self.name!r}: {detail}; give data of this schema')


_Entry = tuple[str, tuple[int, int, int], dict[int, str]]


def _schema(name: str, entries: tuple[_Entry, ...]) -> ClassSchema:
    """From (class, RGB, raw ids merged into it): the first raw id of each class is the one written."""
    to_train = np.zeros(65536, np.uint8)
    raw_names: dict[int, str] = {}
    for train_id, (_, _, raw) in enumerate(entries):
        to_train[list(raw)] = train_id
        raw_names |= raw
    return ClassSchema(
        name=name, names=tuple(e[0] for e in entries), colors=np.array([e[1] for e in entries], np.uint8),
        raw_names=dict(sorted(raw_names.items())), raw_to_train=to_train,
        train_to_raw=np.array([next(iter(e[2])) for e in entries], np.uint16))


SEMANTIC_KITTI = _schema('semantic_kitti', (
    ('unlabeled', (0, 0, 0), {0: 'unlabeled', 1: 'outlier', 52: 'other-structure', 99: 'other-object'}),
    ('car', (100, 150, 245), {10: 'car', 252: 'moving-car'}),
    ('bicycle', (100, 230, 245), {11: 'bicycle'}),
    ('motorcycle', (30, 60, 150), {15: 'motorcycle'}),
    ('truck', (80, 30, 180), {18: 'truck', 258: 'moving-truck'}),
    ('other-vehicle', (0, 0, 255), {20: 'other-vehicle', 13: 'bus', 16: 'on-rails', 256: 'moving-on-rails',
                                    257: 'moving-bus', 259: 'moving-other-vehicle'}),
    ('person', (255, 30, 30), {30: 'person', 254: 'moving-person'}),
    ('bicyclist', (255, 40, 200), {31: 'bicyclist', 253: 'moving-bicyclist'}),
    ('motorcyclist', (150, 30, 90), {32: 'motorcyclist', 255: 'moving-motorcyclist'}),
    ('road', (255, 0, 255), {40: 'road', 60: 'lane-marking'}),
    ('parking', (255, 150, 255), {44: 'parking'}),
    ('sidewalk', (75, 0, 75), {48: 'sidewalk'}),
    ('other-ground', (175, 0, 75), {49: 'other-ground'}),
    ('building', (255, 200, 0), {50: 'building'}),
    ('fence', (255, 120, 50), {51: 'fence'}),
    ('vegetation', (0, 175, 0), {70: 'vegetation'}),
    ('trunk', (135, 60, 0), {71: 'trunk'}),
    ('terrain', (150, 240, 80), {72: 'terrain'}),
    ('pole', (255, 240, 150), {80: 'pole'}),
    ('traffic-sign', (255, 0, 0), {81: 'traffic-sign'}),
))
"""SemanticKITTI's 19 evaluation classes; moving and standing objects share a class. Colours as in its tools."""

NUSCENES = _schema('nuscenes', (
    ('unlabeled', (0, 0, 0), {
        0: 'noise', 1: 'animal', 5: 'human.pedestrian.personal_mobility', 7: 'human.pedestrian.stroller',
        8: 'human.pedestrian.wheelchair', 10: 'movable_object.debris', 11: 'movable_object.pushable_pullable',
        13: 'static_object.bicycle_rack', 19: 'vehicle.emergency.ambulance', 20: 'vehicle.emergency.police',
        29: 'static.other', 31: 'vehicle.ego'}),
    ('barrier', (112, 128, 144), {9: 'movable_object.barrier'}),
    ('bicycle', (220, 20, 60), {14: 'vehicle.bicycle'}),
    ('bus', (255, 127, 80), {16: 'vehicle.bus.rigid', 15: 'vehicle.bus.bendy'}),
    ('car', (255, 158, 0), {17: 'vehicle.car'}),
    ('construction_vehicle', (233, 150, 70), {18: 'vehicle.construction'}),
    ('motorcycle', (255, 61, 99), {21: 'vehicle.motorcycle'}),
    ('pedestrian', (0, 0, 230), {
        2: 'human.pedestrian.adult', 3: 'human.pedestrian.child', 4: 'human.pedestrian.construction_worker',
        6: 'human.pedestrian.police_officer'}),
    ('traffic_cone', (47, 79, 79), {12: 'movable_object.trafficcone'}),
    ('trailer', (255, 140, 0), {22: 'vehicle.trailer'}),
    ('truck', (255, 99, 71), {23: 'vehicle.truck'}),
    ('driveable_surface', (0, 207, 191), {24: 'flat.driveable_surface'}),
    ('other_flat', (175, 0, 75), {25: 'flat.other'}),
    ('sidewalk', (75, 0, 75), {26: 'flat.sidewalk'}),
    ('terrain', (112, 180, 60), {27: 'flat.terrain'}),
    ('manmade', (222, 184, 135), {28: 'static.manmade'}),
    ('vegetation', (0, 175, 0), {30: 'static.vegetation'}),
))
"""nuScenes lidarseg's 16 challenge classes; raw ids as the data use them (one page of its devkit lists others)."""

COARSE_NAMES = ('road', 'sidewalk', 'building', 'pole', 'vegetation', 'person', 'two-wheeler', 'car', 'truck', 'bus',
                'none')
"""Classes both data sets can be reduced to; a position here is a coarse id, the last one means none of them.

They are those of the coarsely labelled nuScenes range images. Where these merge what SemanticKITTI tells apart, the
table below follows them: what one may drive on is road, all that is built is building, all that grows, the ground it
grows on too, is vegetation, whoever rides is part of the two-wheeler. SemanticKITTI has no bus of its own:
other-vehicle is it.
"""

_COARSE_OF = {
    'car': 'car', 'bicycle': 'two-wheeler', 'motorcycle': 'two-wheeler', 'truck': 'truck', 'other-vehicle': 'bus',
    'person': 'person', 'bicyclist': 'two-wheeler', 'motorcyclist': 'two-wheeler', 'road': 'road', 'parking': 'road',
    'sidewalk': 'sidewalk', 'building': 'building', 'fence': 'building', 'vegetation': 'vegetation',
    'trunk': 'vegetation', 'terrain': 'vegetation', 'pole': 'pole', 'traffic-sign': 'pole',
}

SEMANTIC_KITTI_TO_COARSE = np.array(
    [COARSE_NAMES.index(_COARSE_OF.get(name, 'none')) for name in SEMANTIC_KITTI.names], np.uint8)
"""SemanticKITTI train id -> coarse id, uint8 [20]."""


def own_schema(name: str, classes: Sequence[tuple[str, tuple[int, int, int], int]]) -> ClassSchema:
    """A schema of one's own: (name, RGB, raw id written) of every train id from 0 on."""
    return _schema(name, tuple((label, color, {raw: label}) for label, color, raw in classes))


def is_known(name: str) -> bool:
    """Whether ``schema`` knows the name."""
    return name in (SEMANTIC_KITTI.name, NUSCENES.name)


def schema(name: str) -> ClassSchema:
    """The schema of that name; raises ``InputError`` if there is none."""
    for known in (SEMANTIC_KITTI, NUSCENES):
        if known.name == name:
            return known
    raise InputError(f'no class schema {name!r}; choose {SEMANTIC_KITTI.name} or {NUSCENES.name}')
