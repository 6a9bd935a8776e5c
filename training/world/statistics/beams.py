"""How the points share out over the beams, and how many firings bring none."""

from __future__ import annotations

import numpy as np

from training.world.statistics.measured import MeasuredSweep

GROUP = 8


def beam_shares(sweep: MeasuredSweep, beams: int) -> dict[str, float]:
    """Percent of the points on each eight neighbouring beams, from the top."""
    counts = np.bincount(sweep.beam, minlength=beams).reshape(-1, GROUP).sum(1)
    return {f'points on beams {i * GROUP + 1}-{(i + 1) * GROUP}, %': float(100 * c / counts.sum())
            for i, c in enumerate(counts)}


def drop_out(sweep: MeasuredSweep, beams: int) -> dict[str, float]:
    """Percent of firings without a return, also of the upper and the lower half of the beams: cells of the range image
    (beam by firing) that stay empty. A turn has as many firings as the fullest beam has points."""
    counts = np.bincount(sweep.beam, minlength=beams)
    lost = 100 * (1 - counts / counts.max())
    half = beams // 2
    return {'drop-out, %': float(lost.mean()), 'drop-out of the upper half, %': float(lost[:half].mean()),
            'drop-out of the lower half, %': float(lost[half:].mean())}
