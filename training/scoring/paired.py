"""Differences between two methods that were run with the same seeds, with an interval of confidence."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Any


def paired(method: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> dict[str, Any]:
    """``{pairs, mean, low, high}`` of method - baseline, pair by pair; low and high are None for a single pair.

    The interval is Student's: mean -+ t(confidence, n - 1) s / sqrt(n), s over the n differences. It tells how far runs
    with other seeds would spread, on the same test sweeps.
    """
    from scipy.stats import t

    differences = [a - b for a, b in zip(method, baseline, strict=True)]
    count, middle = len(differences), mean(differences)
    if count < 2:
        return {'pairs': count, 'mean': round(middle, 2), 'low': None, 'high': None}
    half = float(t.ppf((1 + confidence) / 2, count - 1)) * stdev(differences) / sqrt(count)
    return {'pairs': count, 'mean': round(middle, 2), 'low': round(middle - half, 2), 'high': round(middle + half, 2)}
