"""Who is whose neighbour: the index tables of sparse convolutions, made once per level and shared by its layers.

A table is int32 [M_out, K]: for each output site and kernel tap the number of the input site, **counted from 1; 0 means
that there is none**. Taps run over the kernel's three axes, the last the fastest, like the weights
(out, kd, kh, kw, in) of spconv; the arithmetic is the cross-correlation of ``torch.nn.functional.conv3d``.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from sam2amml_core.lidar.voxels import group_cells

TAPS = 27
CENTRE = 13


def neighbour_table(cells: np.ndarray) -> np.ndarray:
    """Table int32 [M, 27] of a submanifold convolution of kernel 3 over ``cells`` int [M, 3] in lexicographic order.

    Four binary searches instead of 26: a row of three neighbours is adjacent in the sorted keys, and tap k of one site
    is tap 26 - k of the other.
    """
    count = len(cells)
    table = np.zeros((TAPS, count), np.int32)
    if not count:
        return table.T
    number = np.arange(1, count + 1, dtype=np.int32)
    table[CENTRE] = number
    low = cells.min(axis=0).astype(np.int64)
    span = cells.max(axis=0).astype(np.int64) - low + 3  # a margin on both sides: no neighbour wraps around
    plane, line = int(span[1] * span[2]), int(span[2])
    key = (cells[:, 0] - low[0]) * plane + (cells[:, 1] - low[1]) * line + (cells[:, 2] - low[2])
    adjacent = np.flatnonzero(key[1:] == key[:-1] + 1)
    table[CENTRE + 1, adjacent] = number[adjacent + 1]
    table[CENTRE - 1, adjacent + 1] = number[adjacent]
    padded = np.append(key, np.iinfo(np.int64).max)
    for above, beside in ((0, 1), (1, -1), (1, 0), (1, 1)):
        wanted = key + (above * plane + beside * line - 1)
        at = np.searchsorted(key, wanted)
        tap = (above + 1) * 9 + (beside + 1) * 3
        for step in range(3):
            found = padded[at] == wanted
            here = np.flatnonzero(found)
            there = at[here]
            table[tap + step, here] = number[there]
            table[TAPS - 1 - tap - step, there] = number[here]
            at += found
            wanted += 1
    return np.ascontiguousarray(table.T)


def halve(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel 2, stride 2: coarse cells int32 [M_c, 3], table ``down`` int32 [M_c, 8] and ``up`` int32 [M].

    ``up`` is ``8 * parent + tap``, both from 0: every fine site has exactly one parent and one tap.
    """
    grid = group_cells(cells >> 1)
    tap = ((cells[:, 0] & 1) * 4 + (cells[:, 1] & 1) * 2 + (cells[:, 2] & 1)).astype(np.int64)
    up = grid.index * 8 + tap
    down = np.zeros(len(grid) * 8, np.int32)
    down[up] = np.arange(1, len(cells) + 1, dtype=np.int32)
    return grid.cells, down.reshape(-1, 8), up.astype(np.int32)


def strided_table(cells: np.ndarray, shape: tuple[int, int, int], stride: tuple[int, int, int],
                  kernel: tuple[int, int, int] = (3, 3, 3), padding: tuple[int, int, int] = (1, 1, 1),
                  ) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int]]:
    """Strided convolution in a volume of ``shape`` cells: output cells int32 [M_out, 3], table [M_out, K], new shape.

    ``cells`` int [M, 3] lie in 0 .. shape - 1. Output sites are all that touch an input site (Yan et al., 2018).
    """
    size = tuple((s + 2 * p - k) // t + 1 for s, p, k, t in zip(shape, padding, kernel, stride, strict=True))
    steps = []  # for each axis and tap: which sites it serves, and the output coordinate
    for axis in range(3):
        column = np.ascontiguousarray(cells[:, axis])
        options = []
        for tap in range(kernel[axis]):
            out, rest = np.divmod(column + (padding[axis] - tap), stride[axis])
            options.append(((rest == 0) & (out >= 0) & (out < size[axis]), out))
        steps.append(options)
    sites, taps, outs = [], [], []
    for tap, (a, b, c) in enumerate(product(*steps)):
        here = np.flatnonzero(a[0] & b[0] & c[0])
        sites.append(here)
        taps.append(np.full(len(here), tap))
        outs.append(np.stack((a[1][here], b[1][here], c[1][here]), axis=1))
    grid = group_cells(np.concatenate(outs))
    table = np.zeros((len(grid), kernel[0] * kernel[1] * kernel[2]), np.int32)
    table[grid.index, np.concatenate(taps)] = np.concatenate(sites) + 1
    return grid.cells, table, (size[0], size[1], size[2])


def transpose_table(table: np.ndarray, inputs: int) -> np.ndarray:
    """The table int32 [inputs, K] of the inverse convolution: the same pairs and taps, from outputs back to inputs."""
    result = np.zeros((inputs, table.shape[1]), np.int32)
    out, tap = np.nonzero(table)
    result[table[out, tap] - 1, tap] = out + 1
    return result
