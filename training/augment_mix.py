"""Mixing of sweeps of the same LiDAR: each point keeps its own label."""

from __future__ import annotations

import numpy as np

from training.labelled_sweep import LabelledSweep


def mix(first: LabelledSweep, second: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Bands of elevation (LaserMix, Kong et al., 2023) or a sector of azimuth (PolarMix, Xiao et al., 2022)."""
    return mix_bands(first, second, rng) if rng.random() < 0.5 else mix_sector(first, second, rng)


def mix_bands(first: LabelledSweep, second: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Alternate bands of elevation from both; 2 to 6 of equal height between the 1st and 99th percentile."""
    angles = [_elevation(sweep.xyz) for sweep in (first, second)]
    low, high = np.percentile(angles[0], (1, 99)) if len(first) else (0.0, 1.0)
    bands = int(rng.integers(2, 7))
    phase = rng.uniform(0, 2)
    chosen = [np.floor((a - low) / max(high - low, 1e-6) * bands + phase).astype(np.int32) % 2 == 0 for a in angles]
    return first.take(chosen[0]).join(second.take(~chosen[1]))


def mix_sector(first: LabelledSweep, second: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """One sector, 60 to 180 degrees wide, from ``second``, the rest from ``first``."""
    start, width = rng.uniform(-np.pi, np.pi), rng.uniform(np.pi / 3, np.pi)
    inside = [np.mod(np.arctan2(s.xyz[:, 1], s.xyz[:, 0]) - start, 2 * np.pi) < width for s in (first, second)]
    return first.take(~inside[0]).join(second.take(inside[1]))


PASTE_COLUMNS = 1024


def paste_objects(sweep: LabelledSweep, other: LabelledSweep, classes: np.ndarray, copies: int,
                  rng: np.random.Generator) -> LabelledSweep:
    """Copies of all points of some ``classes`` (train ids) of ``other``, each copy turned about z at random (after
    PolarMix's rotate-paste); of what lies behind one another in the same beam and direction the nearer remains."""
    rare = other.take(np.isin(other.label, classes))
    if not len(rare):
        return sweep
    result = sweep
    for _ in range(copies):
        result = insert(result, _turned(rare, rng.uniform(-np.pi, np.pi)))
    return result


def paste_instances(sweep: LabelledSweep, other: LabelledSweep, classes: np.ndarray, ground: np.ndarray, count: int,
                    rng: np.random.Generator, least: int = 20) -> LabelledSweep:
    """Up to ``count`` single objects of some ``classes`` (train ids) of ``other`` that have ``least`` points or more,
    each set upon a point of the classes ``ground`` at about its own distance, where its density is right (after the
    instance pasting of Xu et al., RPVNet, 2021). Without instance ids nothing is pasted.
    """
    wanted = np.isin(other.label, classes) & (other.instance > 0)
    objects, points = np.unique(other.instance[wanted], return_counts=True)
    objects = objects[points >= least]
    floor = sweep.xyz[np.isin(sweep.label, ground)]
    if not len(objects) or not len(floor):
        return sweep
    reach = np.hypot(floor[:, 0], floor[:, 1])
    things: LabelledSweep | None = None
    for number in rng.choice(objects, count):
        thing = other.take(wanted & (other.instance == number))
        middle = thing.xyz[:, :2].mean(axis=0)
        distance = float(np.hypot(*middle))
        near = np.flatnonzero(np.abs(reach - distance) < 0.1 * distance)
        if not len(near):
            continue
        place = floor[rng.choice(near)]
        moved = _turned(thing, float(np.arctan2(place[1], place[0]) - np.arctan2(middle[1], middle[0])))
        lift = np.array([0, 0, place[2] - moved.xyz[:, 2].min()], np.float32)
        moved = moved.with_xyz(moved.xyz + lift)
        things = moved if things is None else insert(things, moved)
    return sweep if things is None else insert(sweep, things)


def insert(sweep: LabelledSweep, addition: LabelledSweep) -> LabelledSweep:
    """Both together; of what lies behind one another in the same beam and direction the nearer remains."""
    old, new = _cell(sweep), _cell(addition)
    far_old, far_new = _distance(sweep), _distance(addition)
    # neighbouring points of one sweep share cells, so compare with what the other sweep has there
    nearest_new = _nearest(new, far_new)
    keep_old = nearest_new[old] > far_old - 0.5
    met = np.isfinite(nearest_new)[old]
    keep_new = _nearest(old[met], far_old[met])[new] > far_new - 0.5
    return sweep.take(keep_old).join(addition.take(keep_new))


def _turned(sweep: LabelledSweep, turn: float) -> LabelledSweep:
    c, s = np.cos(turn), np.sin(turn)
    return sweep.with_xyz(sweep.xyz @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))


def _cell(sweep: LabelledSweep) -> np.ndarray:
    column = (np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0]) / (2 * np.pi) + 0.5) * PASTE_COLUMNS
    return sweep.ring.astype(np.int64) * PASTE_COLUMNS + column.astype(np.int64) % PASTE_COLUMNS


def _distance(sweep: LabelledSweep) -> np.ndarray:
    return np.sqrt(np.einsum('ij,ij->i', sweep.xyz, sweep.xyz))


def _nearest(cell: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Least range in each cell of beam and direction; infinite where there is none."""
    cells = np.full(256 * PASTE_COLUMNS, np.inf, np.float32)
    np.minimum.at(cells, cell, distance)
    return cells


def _elevation(xyz: np.ndarray) -> np.ndarray:
    return np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1]))
