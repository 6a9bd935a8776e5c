"""How good masks are: are the objects found, and do the points of a mask belong together?"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sam2amml_core.frame import PointLabels
from sam2amml_core.masks.lift import ids_at, point_mask_ids
from sam2amml_core.masks.mask_set import MaskSet
from sam2amml_core.masks.refine import CONFIRMED, confirm
from training.masks.scenes import Scene

LEAST_POINTS = 50
"""Visible points an object must have to count."""

LEAST_IOU = 0.5


@dataclass(frozen=True)
class MaskCounts:
    """Sums over scenes; add them up, then read the shares.

    objects, found   visible instances of at least ``LEAST_POINTS`` points, and those with a mask of IoU >= 0.5
    points, masked, pure  visible points with a class, those in a mask, and those whose mask has mostly their class
    right_before, right_after  points that a LiDAR network labels right, alone and after ``refine.confirm``
    confirmed, confirmed_right  points whose label the masks confirm, and those of them that are right
    """

    objects: int = 0
    found: int = 0
    points: int = 0
    masked: int = 0
    pure: int = 0
    masks: int = 0
    right_before: int = 0
    right_after: int = 0
    confirmed: int = 0
    confirmed_right: int = 0

    def __add__(self, other: MaskCounts) -> MaskCounts:
        return MaskCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def recall(self) -> float:
        return self.found / max(1, self.objects)

    @property
    def purity(self) -> float:
        return self.pure / max(1, self.masked)

    @property
    def coverage(self) -> float:
        return self.masked / max(1, self.points)


def count(scene: Scene, masks: MaskSet, labels: PointLabels | None = None) -> MaskCounts:
    """The counts of one scene; ``labels`` of its points by a LiDAR network, or None."""
    objects, found = _objects(scene, masks.id_map)
    classes = scene.point_class[scene.points.index]
    usable = scene.seen & (classes > 0)
    ids, classes = ids_at(scene.points, masks.id_map)[usable], classes[usable]
    table = np.zeros((len(masks) + 1, 256), np.int64)
    np.add.at(table, (ids, classes), 1)
    masked = int((ids > 0).sum())
    counts = MaskCounts(objects, found, len(ids), masked, int(table[1:].max(axis=1).sum()), len(masks))
    return counts if labels is None else counts + _confirmed(scene, masks, labels, scene.points.index[usable])


def _confirmed(scene: Scene, masks: MaskSet, labels: PointLabels, rows: np.ndarray) -> MaskCounts:
    """What the masks make of labels, over the points ``rows``."""
    after, source = confirm(labels, point_mask_ids(scene.cloud.xyz, [scene.view.camera], [masks]))
    right = (after.class_id == scene.point_class)[rows]
    sure = source[rows] == CONFIRMED
    return MaskCounts(right_before=int((labels.class_id == scene.point_class)[rows].sum()),
                      right_after=int(right.sum()), confirmed=int(sure.sum()), confirmed_right=int(right[sure].sum()))


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
