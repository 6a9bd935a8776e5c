"""How bright the returns are, overall and by class."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep
from training.world.statistics.ranges import QUANTILES

FEWEST = 30
"""Points of a class below which a sweep says nothing about it."""


def intensity_quantiles(sweep: MeasuredSweep) -> dict[str, float]:
    """Quantiles of the intensity, 0..1, and percent of points that report none."""
    result = {f'intensity q{int(100 * q):02d}': float(np.quantile(sweep.intensity, q)) for q in QUANTILES}
    return result | {'intensity 0, %': float(100 * (sweep.intensity <= 0).mean())}


def intensity_by_class(sweep: MeasuredSweep) -> dict[str, float]:
    """Median intensity of each class with enough points; empty without labels."""
    if sweep.label is None:
        return {}
    counts = np.bincount(sweep.label, minlength=len(sweep.names))
    return {f'intensity of {sweep.names[i]}': float(np.median(sweep.intensity[sweep.label == i]))
            for i in np.flatnonzero(counts >= FEWEST) if i}
