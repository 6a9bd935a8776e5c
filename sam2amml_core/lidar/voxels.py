"""Voxels: which points share a cell. Cells become integer keys, and one sort of 64-bit integers does the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.errors import InputError


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """The M occupied cells of N points.

    cells  int32 [M, 3], in lexicographic order
    index  int64 [N], the row of ``cells`` of each point
    """

    cells: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.cells)


def voxelise(xyz: np.ndarray, voxel_m: float) -> VoxelGrid:
    """Cubic voxels of points float32 [N, 3] in metres, finite; cells count z, y, x, so that x is the fastest.

    A cell spans ``[i, i + 1) * voxel_m``: cells of two sweeps of one sensor agree. Cells may be negative.
    """
    cells = np.floor(xyz[:, ::-1] * np.float32(1 / voxel_m)).astype(np.int32)
    return group_cells(cells)


def group_cells(cells: np.ndarray) -> VoxelGrid:
    """The distinct rows of integer ``cells`` [N, 3] in lexicographic order, as ``np.unique(axis=0)`` finds them.

    Raises ``InputError`` if the cells span more than 62 bits (a coordinate that is not finite was not removed).
    """
    count = len(cells)
    if not count:
        return VoxelGrid(np.zeros((0, 3), np.int32), np.zeros(0, np.int64))
    columns = [np.ascontiguousarray(cells[:, axis]).astype(np.int64) for axis in range(3)]
    low = [int(column.min()) for column in columns]
    span = [int(column.max()) - least + 1 for column, least in zip(columns, low, strict=True)]
    bits = max(1, (count - 1).bit_length())
    if span[0] * span[1] * span[2] >= 1 << 62:
        raise InputError(f'cells span {span}: remove points that are not finite or far away, or take larger voxels')
    key = columns[0]
    key -= low[0]
    for axis in (1, 2):
        key *= span[axis]
        key += columns[axis]
        key -= low[axis]
    if span[0] * span[1] * span[2] << bits < 1 << 63:  # the point's number fits below the key: a plain sort will do
        key <<= bits
        key |= np.arange(count)
        key.sort()
        order = key & ((1 << bits) - 1)
        key >>= bits
    else:
        order = np.argsort(key, kind='stable')
        key = key[order]
    first = np.empty(count, bool)
    first[0] = True
    np.not_equal(key[1:], key[:-1], out=first[1:])
    index = np.empty(count, np.int64)
    index[order] = np.cumsum(first) - 1
    rest, last = np.divmod(key[first], span[2])
    top, middle = np.divmod(rest, span[1])
    found = np.stack((top + low[0], middle + low[1], last + low[2]), axis=1)
    return VoxelGrid(found.astype(np.int32), index)


def cell_means(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """Means float32 [count, C] of the rows of ``values`` [N, C] that share an ``index`` [N]; every cell has a point."""
    number = np.bincount(index, minlength=count)
    sums = np.stack([np.bincount(index, column, minlength=count) for column in values.T], axis=1)
    return (sums / number[:, None]).astype(np.float32)
