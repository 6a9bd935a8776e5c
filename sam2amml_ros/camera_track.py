"""One camera as the collector sees it: its latest images, its learned period, and whether it is worth waiting for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

Payload = TypeVar('Payload')

LEARNED_FROM = 7
"""Steps between images whose median is taken as the period: three lost images or one long pause do not change it."""

RATE_FROM = 20
"""Steps from which the rate of the steady clock against the stamps is learned (a recording may be played slowly)."""

LATE_SHARE = 0.25
"""An image is late when it has not come this share of a period after it was expected."""

GAIN_SHARE = 0.1
"""A nearer image is worth waiting for only if it is nearer by this share of a period."""


@dataclass(frozen=True, eq=False)
class StampedImage(Generic[Payload]):
    """An image as it came; ``stamp_ns`` of its header, ``arrived_ns`` on a steady clock."""

    stamp_ns: int
    arrived_ns: int
    payload: Payload


class Rhythm:
    """The period of a stream, learned as the median of its last steps; steps backwards start it again."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=LEARNED_FROM)
        self._last: int | None = None

    def add(self, time_ns: int) -> None:
        if self._last is not None and time_ns > self._last:
            self._steps.append(time_ns - self._last)
        elif self._last is not None and time_ns < self._last:
            self._steps.clear()
        self._last = time_ns

    @property
    def period_ns(self) -> int | None:
        return max(1, round(median(self._steps))) if self._steps else None


class CameraTrack(Generic[Payload]):
    """A small ring of images of one camera, sorted by stamp, and what is known of when the next one comes.

    offset_ns   stamp of the image that belongs to a sweep, minus the stamp of the sweep
    skew_ns     of the last image that was used: its stamp, minus the stamp wanted; None before the first
    """

    def __init__(self, offset_ns: int, ring: int, dead_after: float, unknown_period_ns: int) -> None:
        self.offset_ns = offset_ns
        self.counts: Counter[str] = Counter()
        self.skew_ns: int | None = None
        self._ring = ring
        self._dead_after = dead_after
        self._unknown_period_ns = unknown_period_ns
        self._images: list[StampedImage[Payload]] = []
        self._stamps = Rhythm()
        self._steps: deque[tuple[int, int]] = deque(maxlen=RATE_FROM)
        self._newest: tuple[int, int] | None = None
        self._last_arrival: int | None = None
        self._used_until: int | None = None

    # What comes in ---------------------------------------------------------------------------------------------------

    def add(self, stamp_ns: int, payload: Payload, now_ns: int, jump_ns: int) -> None:
        """Keep an image unless it is a duplicate or older than one that was used. A jump backwards clears the ring."""
        self.counts['images'] += 1
        self._last_arrival = now_ns
        if self._newest is not None and self._newest[0] - stamp_ns > min(jump_ns, self._tolerated_disorder_ns()):
            self.counts['jumps'] += 1
            self.clear()
        if self._used_until is not None and stamp_ns <= self._used_until:
            self.counts['too late'] += 1
            return
        place = bisect_left(self._images, stamp_ns, key=lambda image: image.stamp_ns)
        if place < len(self._images) and self._images[place].stamp_ns == stamp_ns:
            self.counts['duplicates'] += 1
            return
        if place < len(self._images):
            self.counts['out of order'] += 1
        self._images.insert(place, StampedImage(stamp_ns, now_ns, payload))
        if self._newest is None or stamp_ns > self._newest[0]:
            self._learn(stamp_ns, now_ns)
            self._newest = (stamp_ns, now_ns)
        if len(self._images) > self._ring:
            self._images.pop(0)
            self.counts['unused'] += 1

    def clear(self, after_ns: int | None = None) -> None:
        """Forget images and stamps, since time jumped back; with ``after_ns`` only images later than it."""
        kept = [] if after_ns is None else [image for image in self._images if image.stamp_ns <= after_ns]
        jumped_already = self._newest is None or (after_ns is not None and self._newest[0] <= after_ns)
        if after_ns is not None and len(kept) == len(self._images) and jumped_already:
            self._used_until = None
            return
        self.counts['cleared'] += len(self._images) - len(kept)
        self._images = kept
        self._stamps = Rhythm()
        self._steps.clear()
        self._newest = (kept[-1].stamp_ns, kept[-1].arrived_ns) if kept else None
        self._used_until = None

    # What a sweep asks -----------------------------------------------------------------------------------------------

    def nearest(self, target_ns: int, tolerance_ns: int, before_ns: int | None = None) -> StampedImage[Payload] | None:
        """The image nearest to a time, within the tolerance; with ``before_ns`` only of those earlier than it."""
        near = min((image for image in self._images if before_ns is None or image.stamp_ns < before_ns),
                   key=lambda image: abs(image.stamp_ns - target_ns), default=None)
        return near if near is not None and abs(near.stamp_ns - target_ns) <= tolerance_ns else None

    def wait_until(self, target_ns: int, tolerance_ns: int, now_ns: int, deadline_ns: int) -> int | None:
        """Until when (steady clock) a nearer image may be hoped for; None when it is there, late, or will not come."""
        if self._newest is None or not self.alive(now_ns):
            return None
        stamp, arrived = self._newest
        if stamp >= target_ns:
            return None
        period, arrival_period = self._stamps.period_ns, self._arrival_period_ns()
        if period is None or arrival_period is None:
            return deadline_ns
        ahead = max(1, round((target_ns - stamp) / period))
        distance = abs(stamp + ahead * period - target_ns)
        best = self.nearest(target_ns, tolerance_ns)
        if distance > tolerance_ns:
            return None
        if best is not None and abs(best.stamp_ns - target_ns) <= distance + round(GAIN_SHARE * period):
            return None
        expected = arrived + ahead * arrival_period
        late = expected + round(LATE_SHARE * arrival_period)
        return None if expected > deadline_ns or late <= now_ns else min(late, deadline_ns)

    def use(self, image: StampedImage[Payload], target_ns: int) -> None:
        """Take an image out, and all older ones: sweeps are served in the order of their stamps."""
        self.skew_ns = image.stamp_ns - target_ns
        self._used_until = image.stamp_ns
        self.counts['fused'] += 1
        self.counts['unused'] += sum(other.stamp_ns < image.stamp_ns for other in self._images)
        self._images = [other for other in self._images if other.stamp_ns > image.stamp_ns]

    # What diagnostics ask --------------------------------------------------------------------------------------------

    def alive(self, now_ns: int) -> bool:
        """An image came within the last few periods."""
        period = self._arrival_period_ns() or self._unknown_period_ns
        return self._last_arrival is not None and now_ns - self._last_arrival <= self._dead_after * period

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the last image came; None before the first."""
        return None if self._last_arrival is None else now_ns - self._last_arrival

    @property
    def period_ns(self) -> int | None:
        """Between stamps, learned."""
        return self._stamps.period_ns

    @property
    def waiting_images(self) -> int:
        return len(self._images)

    def _learn(self, stamp_ns: int, now_ns: int) -> None:
        """Steps of stamps and of arrivals; stamps that leap ahead of the steady clock are a clock that was set."""
        self._stamps.add(stamp_ns)
        if self._newest is None:
            return
        step, arrived = stamp_ns - self._newest[0], now_ns - self._newest[1]
        if step > 3 * max(arrived, self._stamps.period_ns or 0):
            self._steps.clear()
        else:
            self._steps.append((step, arrived))

    def _arrival_period_ns(self) -> int | None:
        """The period on the steady clock: stamps times the rate, which pauses and bunches hardly change."""
        if self._stamps.period_ns is None:
            return None
        stamps, arrivals = (sum(column) for column in zip(*self._steps, strict=True)) if self._steps else (1, 1)
        return max(1, round(self._stamps.period_ns * arrivals / stamps))

    def _tolerated_disorder_ns(self) -> int:
        """Messages may come in the wrong order by one place, not more."""
        return round(1.5 * (self._stamps.period_ns or self._unknown_period_ns))
