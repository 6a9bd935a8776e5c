"""Exclusive masks of everything in a synthetic picture: one id per object, one per piece of each kind of surface."""

from __future__ import annotations

import cv2
import numpy as np

from training.world.classes import WORLD_CLASSES, WORLD_ID
from training.world.sweep import PixelTruth

SMALLEST_PIXELS = 12
"""Pieces smaller than this keep id 0."""

_MERGED = {'lane-marking': 'road', 'traffic-sign': 'traffic-sign'}


def exclusive_segments(truth: PixelTruth, smallest: int = SMALLEST_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    """Id map uint16 [H, W] (0 = sky and crumbs, ids dense from 1) and the world class of each id, uint8 [K + 1].

    An instance is one segment, however it is cut by what stands before it; of surfaces without instances every
    connected piece of one class is a segment. Lane markings count as road.
    """
    classes = _merge_table()[truth.class_id]
    ids = np.zeros(classes.shape, np.uint16)
    kinds = [0]
    for instance in np.unique(truth.instance_id):
        where = truth.instance_id == instance
        if instance and int(where.sum()) >= smallest:
            ids[where] = len(kinds)
            kinds.append(int(np.bincount(classes[where]).argmax()))
    for kind in np.unique(classes):
        rest = ((classes == kind) & (truth.instance_id == 0)).astype(np.uint8)
        if kind == 0 or not rest.any():
            continue
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8, ltype=cv2.CV_32S)
        large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= smallest)
        large = large[large > 0]
        table = np.zeros(len(stats), np.uint16)
        table[large] = len(kinds) + np.arange(len(large))
        kinds += [int(kind)] * len(large)
        ids += table[pieces]
    return ids, np.array(kinds, np.uint8)


def _merge_table() -> np.ndarray:
    """World class -> the class whose segments it belongs to, uint8."""
    return np.array([WORLD_ID[_MERGED.get(kind.name, kind.name)] for kind in WORLD_CLASSES], np.uint8)
