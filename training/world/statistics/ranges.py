"""How far the points lie."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def range_quantiles(sweep: MeasuredSweep) -> dict[str, float]:
    """Quantiles of the distance, metres."""
    return {f'range q{int(100 * q):02d}, m': float(np.quantile(sweep.distance, q)) for q in QUANTILES}
