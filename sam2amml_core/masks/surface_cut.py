"""Surfaces cut along the edges of the image: a road and the pavement beside it are one plane to a LiDAR."""

from __future__ import annotations

import numpy as np

BLOCK = 32
"""Rows handled at a time."""


def cut_surfaces(ids: np.ndarray, surface: np.ndarray, pieces: np.ndarray, smallest: int) -> np.ndarray:
    """Give every part of a surface that lies in another superpixel an id of its own, in ``ids`` itself.

    ids       uint16 [H, W], 0 = none
    surface   bool [K + 1], by id
    pieces    integers [h, w] from 0, superpixels of the image at any resolution
    smallest  pixels; smaller parts stay with the rest of their surface
    Returns int64 [K' + 1], the former id of every id, 0 for 0.
    """
    height, width = ids.shape
    rows = np.minimum(np.arange(height) * pieces.shape[0] // height, pieces.shape[0] - 1)
    columns = np.minimum(np.arange(width) * pieces.shape[1] // width, pieces.shape[1] - 1)
    count, kinds = len(surface), int(pieces.max(initial=0)) + 1
    area = np.zeros(count * kinds, np.int64)
    for top in range(0, height, BLOCK):
        area += np.bincount(_pairs(ids, pieces, rows, columns, top, kinds).ravel(), minlength=len(area))
    table = np.repeat(np.arange(count), kinds)
    split = (area >= smallest) & np.repeat(surface, kinds)
    room = np.iinfo(np.uint16).max - count + 1
    new = np.flatnonzero(split)[:max(0, room)]
    former = np.concatenate((np.arange(count), new // kinds))
    table[new] = count + np.arange(len(new))
    table = table.astype(np.uint16)
    for top in range(0, height, BLOCK):
        ids[top:top + BLOCK] = table[_pairs(ids, pieces, rows, columns, top, kinds)]
    return former


def _pairs(ids: np.ndarray, pieces: np.ndarray, rows: np.ndarray, columns: np.ndarray, top: int, kinds: int
           ) -> np.ndarray:
    """int64 [BLOCK, W]: id * kinds + superpixel."""
    under = pieces[rows[top:top + BLOCK]][:, columns]
    return ids[top:top + BLOCK].astype(np.int64) * kinds + under
