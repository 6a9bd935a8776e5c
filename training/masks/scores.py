"""How good masks are: are the objects found, and do the points of a mask belong together?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.masks.lift import ids_at
from sam2amml_core.masks.mask_set import MaskSet
from training.masks.scenes import Scene

LEAST_POINTS = 50
"""Visible points an object must have to count."""

LEAST_IOU = 0.5


@dataclass(frozen=True)
class MaskCounts:
    """Sums over scenes; add them up, then read the shares.

    objects, found   visible instances of at least ``LEAST_POINTS`` points, and those with a mask of IoU >= 0.5
    points, masked, pure  visible points with a class, those in a mask, and those whose mask has mostly their class
    """

    objects: int = 0
    found: int = 0
    points: int = 0
    masked: int = 0
    pure: int = 0
    masks: int = 0

    def __add__(self, other: MaskCounts) -> MaskCounts:
        return MaskCounts(self.objects + other.objects, self.found + other.found, self.points + other.points,
                          self.masked + other.masked, self.pure + other.pure, self.masks + other.masks)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.objects)

    @property
    def purity(self) -> float:
        return self.pure / max(1, self.masked)

    @property
    def coverage(self) -> float:
        return self.masked / max(1, self.points)


def count(scene: Scene, masks: MaskSet) -> MaskCounts:
    """The counts of one scene."""
    objects, found = _objects(scene, masks.id_map)
    classes = scene.point_class[scene.points.index]
    usable = scene.seen & (classes > 0)
    ids, classes = ids_at(scene.points, masks.id_map)[usable], classes[usable]
    table = np.zeros((len(masks) + 1, 256), np.int64)
    np.add.at(table, (ids, classes), 1)
    masked = int((ids > 0).sum())
    return MaskCounts(objects, found, len(ids), masked, int(table[1:].max(axis=1).sum()), len(masks))


def _objects(scene: Scene, id_map: np.ndarray) -> tuple[int, int]:
    instance = scene.point_object[scene.points.index[scene.seen]]
    size = np.bincount(instance)
    chosen = np.flatnonzero(size >= LEAST_POINTS)
    chosen = chosen[chosen > 0]
    area = np.bincount(id_map.ravel())
    found = 0
    for number in chosen:
        where = scene.truth.instance_id == number
        shared = np.bincount(id_map[where], minlength=len(area))
        union = area + int(where.sum()) - shared
        iou = shared[1:] / np.maximum(union[1:], 1)
        found += bool(len(iou) and iou.max() >= LEAST_IOU)
    return len(chosen), found
