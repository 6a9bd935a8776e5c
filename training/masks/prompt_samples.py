"""Prompts as a LiDAR would give them, drawn from an exact mask: rows of points, some of them missing or astray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.masks.outlines import outline, prior_logits

POINTS = 8
"""Slots of each prompt: a box takes two of them; empty slots have label -1."""


@dataclass(frozen=True, eq=False)
class PromptSample:
    """points float32 [POINTS, 2] (column, row) pixels; labels int32 [POINTS]: 1 in, 0 out, 2 and 3 corners of a box,
    -1 empty; prior float32 [S/4, S/4] logits, or None."""

    points: np.ndarray
    labels: np.ndarray
    prior: np.ndarray | None


def sample_prompt(rng: np.random.Generator, ids: np.ndarray, target: int) -> PromptSample:
    """A prompt for segment ``target`` of an id map [S, S] that holds it."""
    inside = ids == target
    hits, gap = _scan(rng, inside)
    kind = rng.random()  # points only, box only, both; and half of the time the area of the points as well
    with_points, with_box = kind < 0.7, kind > 0.45
    points = np.zeros((POINTS, 2), np.float32)
    labels = np.full(POINTS, -1, np.int32)
    used = 0
    if with_box:
        low, high = _box(rng, inside, hits, gap)
        points[0], points[1] = low, high
        labels[:2] = 2, 3
        used = 2
    if with_points:
        count = int(rng.integers(1, 5))
        chosen = hits[rng.integers(0, len(hits), count)]
        points[used:used + count] = chosen
        labels[used:used + count] = 1
        used += count
        other = _outside(rng, ids, target, hits, int(rng.integers(0, POINTS - used + 1)))
        points[used:used + len(other)] = other
        labels[used:used + len(other)] = 0
    prior = None
    if rng.random() < 0.5:
        prior = prior_logits(outline(_stray(rng, ids, hits, gap), ids.shape, (gap[0] / 2, gap[1] / 2)))
    return PromptSample(points, labels, prior)


def _scan(rng: np.random.Generator, inside: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Points int [K, 2] of a LiDAR's rows on the segment, at least one, and their spacing across and down."""
    row, column = np.nonzero(inside)
    size = inside.shape[0]
    gap = (int(rng.integers(1, max(2, size // 64) + 1)), int(rng.integers(1, max(3, size // 28) + 1)))
    kept = ((row + int(rng.integers(gap[1]))) % gap[1] == 0) & ((column + int(rng.integers(gap[0]))) % gap[0] == 0)
    kept &= rng.random(len(row)) > rng.choice([0.05, 0.4])
    if rng.random() < 0.35:  # an edge that returned nothing, or is hidden from the LiDAR
        axis = row if rng.random() < 0.6 else column
        cut = np.quantile(axis, rng.uniform(0, 0.35))
        kept &= (axis >= cut) if rng.random() < 0.7 else (axis <= axis.max() - (cut - axis.min()))
    chosen = np.flatnonzero(kept)
    if not len(chosen):
        chosen = rng.integers(0, len(row), 1)
    return np.stack((column[chosen], row[chosen]), axis=1), gap


def _box(rng: np.random.Generator, inside: np.ndarray, hits: np.ndarray, gap: tuple[int, int]
         ) -> tuple[np.ndarray, np.ndarray]:
    """Two corners (column, row): around the points, or around the segment itself, a little wrong."""
    if rng.random() < 0.5:
        low, high = hits.min(axis=0) - np.array(gap) / 2, hits.max(axis=0) + np.array(gap) / 2
    else:
        row, column = np.nonzero(inside)
        low, high = np.array([column.min(), row.min()]), np.array([column.max(), row.max()])
    spread = (high - low) * 0.06
    return low + rng.normal(0, 1, 2) * spread, high + rng.normal(0, 1, 2) * spread


def _outside(rng: np.random.Generator, ids: np.ndarray, target: int, hits: np.ndarray, count: int) -> np.ndarray:
    """Up to ``count`` points of other segments near the target."""
    size = ids.shape[0]
    span = np.maximum(hits.max(axis=0) - hits.min(axis=0), 6)
    around = rng.uniform(hits.min(axis=0) - 0.5 * span, hits.max(axis=0) + 0.5 * span, (3 * count, 2)).astype(int)
    around = around[((around >= 0) & (around < size)).all(axis=1)]
    return around[ids[around[:, 1], around[:, 0]] != target][:count]


def _stray(rng: np.random.Generator, ids: np.ndarray, hits: np.ndarray, gap: tuple[int, int]) -> np.ndarray:
    """The points, shifted as one by a calibration a little off, a few of them far from where they belong."""
    moved = hits + np.rint(rng.normal(0, 0.4, 2) * np.array(gap)).astype(int)
    astray = rng.random(len(moved)) < rng.choice([0.0, 0.02])
    moved = moved.copy()
    moved[astray] += np.rint(rng.normal(0, 3, (int(astray.sum()), 2)) * np.array(gap)).astype(int)
    return np.clip(moved, 0, ids.shape[0] - 1)
