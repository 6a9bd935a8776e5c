"""How the points share out over the classes."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep

GROUND = ('road', 'parking', 'sidewalk', 'other-ground', 'terrain')


def class_shares(sweep: MeasuredSweep) -> dict[str, float]:
    """Percent of the labelled points of each class, and of all classes one can stand on; empty without labels."""
    if sweep.label is None:
        return {}
    counts = np.bincount(sweep.label, minlength=len(sweep.names)).astype(float)
    counts[0] = 0
    shares = 100 * counts / max(counts.sum(), 1)
    result = {f'{name}, %': float(share) for name, share in zip(sweep.names[1:], shares[1:], strict=True)}
    ground = sum(share for name, share in zip(sweep.names, shares, strict=True) if name in GROUND)
    return {'ground (by class), %': float(ground)} | result
