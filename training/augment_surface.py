"""Variation of surfaces: how rough things are is hard to simulate and differs from place to place."""

from __future__ import annotations

import numpy as np

from training.labelled_sweep import LabelledSweep

WINDOW = 5
"""Neighbours along a beam, on either side, that a surface is smoothed over."""

REACH = 1.2
"""Metres of range within which neighbours count as the same surface."""


def vary_roughness(sweep: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Flatten or roughen surfaces along their beams: by one factor per class and sector, mostly below 1.

    Points must be in the sensor's order: beam by beam, or firing by firing.
    """
    distance = np.linalg.norm(sweep.xyz, axis=1)
    by_beam = np.argsort(sweep.ring, kind='stable')
    smooth = np.empty(len(sweep))
    smooth[by_beam] = smoothed_range(distance[by_beam], sweep.ring[by_beam], sweep.label[by_beam])
    sectors = 16
    azimuth = np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0]) / (2 * np.pi) + rng.random()
    sector = np.floor(azimuth % 1.0 * sectors).astype(np.int32) % sectors
    factor = np.exp(rng.uniform(np.log(0.1), np.log(1.6), (256, sectors)))[sweep.label, sector]
    target = smooth + factor * (distance - smooth)
    return sweep.with_xyz(sweep.xyz * (target / np.maximum(distance, 1e-3))[:, None])


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
