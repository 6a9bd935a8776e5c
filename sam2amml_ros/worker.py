"""One thread that works on the latest item: what it has not begun when a newer one comes is dropped and counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar('Item')
logger = logging.getLogger(__name__)


class LatestWorker(Generic[Item]):
    """Hands items to ``work`` in a thread of its own; at most one waits. ``put`` never blocks.

    ``work`` should handle its own errors; one that escapes is given to ``failed`` and the thread goes on.
    """

    def __init__(self, work: Callable[[Item], None], failed: Callable[[Exception], None]) -> None:
        self._work = work
        self._failed = failed
        self._waiting: list[Item] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Items that a newer one replaced before they were begun."""
        return self._dropped

    def start(self, rehearse: Callable[[], None] | None = None) -> None:
        """Start the thread; return when ``rehearse`` has run in it, whose error is given to ``failed``."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(rehearse, ready), name='segmentation', daemon=True)
        self._thread.start()
        ready.wait()

    def put(self, item: Item) -> None:
        """Make this the next item; replaces one that still waits."""
        with self._changed:
            if self._waiting:
                self._dropped += 1
            self._waiting = [item]
            self._changed.notify()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Let the item at work end, drop the one that waits; True when the thread has ended."""
        with self._changed:
            self._stopped = True
            self._waiting = []
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self, rehearse: Callable[[], None] | None, ready: threading.Event) -> None:
        try:
            if rehearse is not None:
                rehearse()
        except Exception as error:
            self._failed(error)
        finally:
            ready.set()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                item = self._waiting.pop()
            try:
                self._work(item)
            except Exception as error:
                self._failed(error)
