"""Counts what had to be dropped, by kind, and says so at most once in a while."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic


class DropLog:
    """``say`` gets one line the first time a kind of drop happens and then every ``period_s`` while it goes on.

    Thread-safe.
    """

    def __init__(self, say: Callable[[str], object], period_s: float = 5.0) -> None:
        self._say = say
        self._period_s = period_s
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, reason: str) -> None:
        """Count one drop of a kind; the reason names the thing and the remedy."""
        with self._lock:
            self.counts[kind] += 1
            count, now = self.counts[kind], monotonic()
            due = now - self._last.get(kind, -1e9) >= self._period_s
            if due:
                self._last[kind] = now
        if due:
            self._say(f'{kind} dropped{f" ({count} so far)" if count > 1 else ""}: {reason}')
