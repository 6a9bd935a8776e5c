"""Variation of surfaces: how rough things are is hard to simulate and differs from place to place."""

from __future__ import annotations

import numpy as np

from training.labelled_sweep import LabelledSweep

WINDOW = 5
"""Neighbours along a beam, on either side, that a surface is smoothed over."""

REACH = 1.2
"""Metres of range within which neighbours count as the same surface."""

POROUS = 0.06
"""Metres: a class whose median deviation from its smoothed surface is larger lets pulses through, like leaves."""

DEPTH = 5.0
"""Metres that pulses may pass into a porous object."""


def vary_roughness(sweep: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Close what is porous, then flatten or roughen surfaces along their beams; one factor per class and sector.

    Points must be in the sensor's order: beam by beam, or firing by firing.
    """
    distance = np.linalg.norm(sweep.xyz, axis=1)
    by_beam = np.argsort(sweep.ring, kind='stable')
    ring, label, target = sweep.ring[by_beam], sweep.label[by_beam], distance[by_beam].astype(np.float64)
    sectors = 16
    azimuth = np.arctan2(sweep.xyz[by_beam, 1], sweep.xyz[by_beam, 0]) / (2 * np.pi) + rng.random()
    sector = np.floor(azimuth % 1.0 * sectors).astype(np.int32) % sectors
    if rng.random() < 0.7:
        factor = np.where(rng.random((256, sectors)) < 0.35, 1, np.exp(rng.uniform(np.log(0.03), 0, (256, sectors))))
        factor[~porous_classes(target, ring, label)] = 1
        front = front_range(target, ring, label)
        target = front + factor[label, sector] * (target - front)
    smooth = smoothed_range(target, ring, label)
    factor = np.exp(rng.uniform(np.log(0.1), np.log(1.6), (256, sectors)))
    target = smooth + factor[label, sector] * (target - smooth)
    scale = np.empty(len(sweep))
    scale[by_beam] = target / np.maximum(distance[by_beam], 1e-3)
    return sweep.with_xyz(sweep.xyz * scale[:, None])


def porous_classes(distance: np.ndarray, ring: np.ndarray, label: np.ndarray) -> np.ndarray:
    """bool [256]: labels whose surfaces let pulses through; points sorted by beam."""
    if len(distance) < 3:
        return np.zeros(256, bool)
    middle = (ring[2:] == ring[:-2]) & (label[2:] == label[:-2]) & (label[1:-1] == label[:-2])
    bend = np.abs(distance[1:-1] - (distance[2:] + distance[:-2]) / 2)
    large = np.bincount(label[1:-1][middle & (bend > POROUS)], minlength=256)
    return large > 0.5 * np.maximum(np.bincount(label[1:-1][middle], minlength=256), 200)


def front_range(distance: np.ndarray, ring: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Least range [N], points sorted by beam, of the same object nearby on the beam: its foremost leaves."""
    front = distance.copy()
    for shift in range(1, WINDOW + 1):
        near = (ring[shift:] == ring[:-shift]) & (label[shift:] == label[:-shift])
        near &= np.abs(distance[shift:] - distance[:-shift]) < DEPTH
        front[shift:] = np.where(near, np.minimum(front[shift:], distance[:-shift]), front[shift:])
        front[:-shift] = np.where(near, np.minimum(front[:-shift], distance[shift:]), front[:-shift])
    return front


def smoothed_range(distance: np.ndarray, ring: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean range [N], points sorted by beam, over the neighbours on the beam of the same class and a similar range."""
    total, count = distance.astype(np.float64).copy(), np.ones(len(distance))
    for shift in range(1, WINDOW + 1):
        near = (ring[shift:] == ring[:-shift]) & (label[shift:] == label[:-shift])
        near &= np.abs(distance[shift:] - distance[:-shift]) < REACH
        total[shift:] += np.where(near, distance[:-shift], 0)
        count[shift:] += near
        total[:-shift] += np.where(near, distance[shift:], 0)
        count[:-shift] += near
    return total / count
