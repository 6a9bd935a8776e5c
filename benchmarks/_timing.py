"""How the benchmarks measure time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """Median wall time, milliseconds, after two runs to warm up."""
    for _ in range(2):
        run()
    spans = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        spans.append(perf_counter() - start)
    return 1e3 * float(np.median(spans))
