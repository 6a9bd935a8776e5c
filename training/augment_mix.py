"""Mixing of two sweeps of the same LiDAR: each point keeps its own label."""

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


def _elevation(xyz: np.ndarray) -> np.ndarray:
    return np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1]))
