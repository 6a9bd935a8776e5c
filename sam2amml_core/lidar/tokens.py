"""Tokens of a WaffleIron network: nearest neighbours by hashing into grids, and the flat grids it convolves over."""

from __future__ import annotations

import numpy as np

from sam2amml_core.lidar.input_spec import TokenInput
from sam2amml_core.lidar.sparse.tables import TAPS, neighbour_table
from sam2amml_core.lidar.voxels import group_cells

TOKEN_BITS = 18
DISTANCE_BITS = 63 - 2 * TOKEN_BITS


def nearest_tokens(place: np.ndarray, cells: np.ndarray, count: int, scales: int) -> np.ndarray:
    """The ``count`` nearest tokens of each, itself first, nearer ones before: int32 [M, count], from 0.

    place  float32 [M, 3], metres: one token for each voxel ``cells`` int [M, 3] (z, y, x; lexicographic order)

    Candidates are the tokens in the 27 voxels around, then one token (the first) in each of the 27 voxels of twice the
    size, and so on over ``scales`` sizes: exact where neighbours are near, sparse but far-reaching where they are not.
    A token with fewer candidates repeats itself. Replaces the KD-tree of Puy et al., WaffleIron, 2023.
    """
    tokens = len(cells)
    if not tokens:
        return np.zeros((0, count), np.int32)
    if tokens >= 1 << TOKEN_BITS:
        return _nearest_of_many(place, cells, count, scales)
    axes = [np.ascontiguousarray(place[:, axis]) for axis in range(3)]
    keys = []
    for near, candidate in _candidates(cells, scales):
        distance = np.zeros(len(near), np.float32)
        for values in axes:
            offset = values[near]
            offset -= values[candidate]
            offset *= offset
            distance += offset
        key = distance.view(np.int32).astype(np.int64)  # bits of positive floats sort like the floats
        key >>= 31 - DISTANCE_BITS
        key <<= TOKEN_BITS
        key |= candidate
        near <<= 63 - TOKEN_BITS
        key |= near
        keys.append(key)
    key = np.concatenate(keys)
    key.sort()
    key = key[np.append(True, key[1:] != key[:-1])]
    start = np.searchsorted(key, np.arange(tokens + 1) << (63 - TOKEN_BITS))
    key &= (1 << TOKEN_BITS) - 1
    return _first_of_each(start, key, count)


def _nearest_of_many(place: np.ndarray, cells: np.ndarray, count: int, scales: int) -> np.ndarray:
    """The same without packing into 64 bits."""
    pairs = [np.stack(pair) for pair in _candidates(cells, scales)]
    near, candidate = np.concatenate(pairs, axis=1)
    offset = place[near] - place[candidate]
    order = np.lexsort((candidate, np.einsum('ij,ij->i', offset, offset), near))
    near, candidate = near[order], candidate[order]
    fresh = np.append(True, (near[1:] != near[:-1]) | (candidate[1:] != candidate[:-1]))
    return _first_of_each(np.searchsorted(near[fresh], np.arange(len(cells) + 1)), candidate[fresh], count)


def _first_of_each(start: np.ndarray, candidate: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` candidates of each token, whose own are ``candidate[start[i]:start[i + 1]]``."""
    tokens = len(start) - 1
    result = np.empty((count, tokens), np.int32)
    own = np.arange(tokens, dtype=np.int32)
    for rank in range(count):
        at = start[:-1] + rank
        there = at < start[1:]
        result[rank] = np.where(there, candidate[np.where(there, at, 0)], own)
    return np.ascontiguousarray(result.T)


def _candidates(cells: np.ndarray, scales: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(token, candidate) int64 pairs for each scale; a token is its own candidate."""
    found = []
    parent = np.arange(len(cells))  # the voxel of each token
    first = parent  # the first token of each voxel
    for scale in range(scales):
        if scale:
            grid = group_cells(cells >> 1)
            parent = grid.index[parent]
            ahead = np.empty(len(grid), np.int64)
            ahead[grid.index[::-1]] = first[::-1]
            cells, first = grid.cells, ahead
        table = neighbour_table(cells)
        rows = (table if not scale else table[parent]).ravel()
        hits = np.flatnonzero(rows)
        found.append((hits // TAPS, first[rows[hits] - 1]))
    return found


def flat_cells(place: np.ndarray, spec: TokenInput) -> list[np.ndarray]:
    """Each token's cell in the grids over (x, y), (x, z) and (y, z): three int64 [M], row * columns + column."""
    low = np.array(spec.extent_m[::2], np.float32)
    axes = np.floor((place - low) / np.float32(spec.cell_m)).astype(np.int64)
    (nx, ny), (_, nz), _ = spec.grids
    x, y, z = (np.clip(axes[:, axis], 0, size - 1) for axis, size in enumerate((nx, ny, nz)))
    return [x * ny + y, x * nz + z, y * nz + z]
