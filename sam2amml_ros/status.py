"""What the node has done so far, as diagnostics tell it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic

KEPT = 100
"""Sweeps over which times are summed up."""

FULL, DEGRADED, LIDAR_ONLY = 'full', 'degraded', 'lidar_only'


@dataclass(frozen=True)
class Summary:
    """A moment's view of the statistics; times in ms, None before the first sweep."""

    labelled: int
    mode: str
    silent_s: float | None
    last_ms: float | None
    median_ms: float | None
    p99_ms: float | None
    late_in_a_row: int
    reasons: dict[str, str]
    fused: frozenset[str]
    fused_by: str


class NodeStatus:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin again, when the node is activated."""
        with self._lock:
            self._labelled = 0
            self._mode = LIDAR_ONLY
            self._last: float | None = None
            self._times: deque[float] = deque(maxlen=KEPT)
            self._late = 0
            self._reasons: dict[str, str] = {}
            self._fused: frozenset[str] = frozenset()
            self._fused_by = ''

    def labelled(self, total_ms: float, limit_ms: float, fused: frozenset[str], wanted: int) -> None:
        """A sweep was published; with images of the cameras ``fused`` out of ``wanted``."""
        with self._lock:
            self._labelled += 1
            self._last = monotonic()
            self._times.append(total_ms)
            self._late = self._late + 1 if total_ms > limit_ms else 0
            self._fused = fused
            self._mode = LIDAR_ONLY if not fused else FULL if len(fused) >= wanted else DEGRADED

    def dropped(self, kind: str, reason: str) -> None:
        with self._lock:
            self._reasons[kind] = reason

    def projected(self, method: str) -> None:
        """How points were brought to an image's time: 'ego_motion' or 'static'."""
        with self._lock:
            self._fused_by = method

    def summary(self) -> Summary:
        with self._lock:
            times = sorted(self._times)
            return Summary(
                self._labelled, self._mode, None if self._last is None else monotonic() - self._last,
                self._times[-1] if times else None, times[len(times) // 2] if times else None,
                times[min(len(times) - 1, round(0.99 * len(times)))] if times else None, self._late,
                dict(self._reasons), self._fused, self._fused_by)


