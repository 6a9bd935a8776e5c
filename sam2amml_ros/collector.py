"""Puts images to sweeps, led by the LiDAR: no sweep is ever lost or held up for the sake of a camera.

ROS-free: messages come in as (stamp, source, payload, now), sweeps go out as ``Match`` with the image of each camera
that is nearest in time. Stamps are of the sensors' clock, ``now`` of any steady clock; the two are never compared.

A sweep goes out when the first of these is true:

1. it is *complete*: each camera has an image from after its time, or none nearer can be expected;
2. each missing camera is *known to be late*: its image should have come by now, judged by the learned period. A camera
   without an image for ``dead_after`` periods, or never seen, is not waited for at all; its next image takes it back;
3. it has waited for ``max_wait_ns``.

Stamps that go back (a recording that loops, a clock that is set) let what waits go out and clear the memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sam2amml_core.errors import InputError
from sam2amml_ros.camera_track import CameraTrack, Rhythm, StampedImage

Sweep = TypeVar('Sweep')
Image = TypeVar('Image')

LIDAR = 'lidar'
"""The source of sweeps; all other sources are cameras."""

REPEATS = 2
"""Sweeps in a row with the stamp of another that are taken for repeated messages; when there are more, the clock stands
still, and they are sweeps like others."""

OFF = 'switched off'
"""Why a camera that is not used is missing."""


@dataclass(frozen=True)
class CollectorSettings:
    """Times in nanoseconds.

    tolerance_ns  an image farther than this from its sweep's time is not used with it
    max_wait_ns   a sweep waits for images no longer than this
    ring          images kept of each camera
    dead_after    periods without an image after which a camera is not waited for
    jump_ns       stamps that go back by more than this (or by 1.5 periods) are a jump, less is disorder
    max_pending   sweeps that may wait at once; the oldest goes out when there are more
    period_ns     taken for a period until one is learned
    """

    tolerance_ns: int = 60_000_000
    max_wait_ns: int = 50_000_000
    ring: int = 6
    dead_after: float = 3.0
    jump_ns: int = 250_000_000
    max_pending: int = 4
    period_ns: int = 100_000_000

    def __post_init__(self) -> None:
        for name in ('tolerance_ns', 'max_wait_ns'):
            if getattr(self, name) < 0:
                raise InputError(f'{name} is {getattr(self, name)}; give 0 or more')
        for name in ('ring', 'dead_after', 'jump_ns', 'max_pending', 'period_ns'):
            if getattr(self, name) <= 0:
                raise InputError(f'{name} is {getattr(self, name)}; give a number above 0')


@dataclass(frozen=True, eq=False)
class Match(Generic[Sweep, Image]):
    """A sweep that goes out. ``images`` by camera; ``missing``: why a camera has none."""

    stamp_ns: int
    payload: Sweep
    arrived_ns: int
    waited_ns: int
    images: Mapping[str, StampedImage[Image]]
    missing: Mapping[str, str]


@dataclass(eq=False)
class _Pending(Generic[Sweep]):
    stamp_ns: int
    payload: Sweep
    arrived_ns: int
    deadline_ns: int


@dataclass(eq=False)
class _Lidar:
    """What is known of the stream of sweeps."""

    rhythm: Rhythm = field(default_factory=Rhythm)
    last_out_ns: int | None = None
    refused_ns: int | None = None
    repeats: int = 0


class Collector(Generic[Sweep, Image]):
    """Not thread-safe. ``cameras``: name -> offset, the image's stamp minus the sweep's stamp, nanoseconds."""

    def __init__(self, cameras: Mapping[str, int], settings: CollectorSettings | None = None) -> None:
        if LIDAR in cameras:
            raise InputError(f"a camera is named {LIDAR!r}, which is the name of the sweeps' source; rename it")
        self.settings = settings or CollectorSettings()
        self.counts: Counter[str] = Counter()
        self.reference_ns = 0
        """From a sweep's stamp to the time its images should be nearest to (half a turn, for stamps of the start)."""
        s = self.settings
        self.cameras: dict[str, CameraTrack[Image]] = {
            name: CameraTrack(offset, s.ring, s.dead_after, s.period_ns) for name, offset in cameras.items()}
        self._lidar = _Lidar()
        self._pending: list[_Pending[Sweep]] = []
        self._off: set[str] = set()
        self._now_ns = 0

    # Public interface ------------------------------------------------------------------------------------------------

    def add_sweep(self, stamp_ns: int, payload: Sweep, now_ns: int) -> list[Match[Sweep, Image]]:
        """A sweep came; returns those that go out now, oldest first."""
        now_ns = self._tick(now_ns)
        self.counts['sweeps'] += 1
        out: list[Match[Sweep, Image]] = []
        newest = max((p.stamp_ns for p in self._pending), default=self._lidar.last_out_ns)
        if newest is not None and self._jumped_back(newest, stamp_ns):
            self.counts['jumps'] += 1
            out += [self._go(now_ns) for _ in range(len(self._pending))]
            self._forget(stamp_ns)
        elif stamp_ns in (self._lidar.last_out_ns, *(p.stamp_ns for p in self._pending)):
            self._lidar.repeats += 1
            if self._lidar.repeats <= REPEATS:
                self.counts['duplicate sweeps'] += 1
                return self.poll(now_ns)
            self.counts['sweeps of a standing clock'] += 1
        elif self._lidar.last_out_ns is not None and stamp_ns < self._lidar.last_out_ns:
            self.counts['sweeps out of order'] += 1
            self._lidar.refused_ns = stamp_ns
            return self.poll(now_ns)
        self._lidar.refused_ns = None
        if newest is None or stamp_ns > newest or out:
            self._lidar.rhythm.add(stamp_ns)
            self._lidar.repeats = 0
        behind = [p.deadline_ns for p in self._pending if p.stamp_ns > stamp_ns]
        self._pending.append(_Pending(stamp_ns, payload, now_ns, min([now_ns + self.settings.max_wait_ns, *behind])))
        self._pending.sort(key=lambda p: p.stamp_ns)
        if len(self._pending) > self.settings.max_pending:
            out.append(self._go(now_ns))
        return out + self.poll(now_ns)

    def add_image(self, stamp_ns: int, source: str, payload: Image, now_ns: int) -> list[Match[Sweep, Image]]:
        """An image of camera ``source`` came; returns the sweeps that go out now, oldest first."""
        if source not in self.cameras:
            raise InputError(f'image from {source!r}, which is no camera here ({", ".join(self.cameras) or "none"})')
        now_ns = self._tick(now_ns)
        if source not in self._off:
            self.cameras[source].add(stamp_ns, payload, now_ns, self.settings.jump_ns)
        return self.poll(now_ns)

    def poll(self, now_ns: int) -> list[Match[Sweep, Image]]:
        """The sweeps that go out by now, oldest first. Call it at ``next_deadline_ns``."""
        now_ns = self._tick(now_ns)
        out: list[Match[Sweep, Image]] = []
        while self._pending and self._ready_at(self._pending[0], now_ns) <= now_ns:
            out.append(self._go(now_ns))
        return out

    def next_deadline_ns(self) -> int | None:
        """When to poll next, if nothing comes before; None when no sweep waits."""
        return self._ready_at(self._pending[0], self._now_ns) if self._pending else None

    def flush(self, now_ns: int) -> list[Match[Sweep, Image]]:
        """Let all that waits go out as it is, and forget everything learned."""
        now_ns = self._tick(now_ns)
        out = [self._go(now_ns) for _ in range(len(self._pending))]
        self._lidar = _Lidar()
        for track in self.cameras.values():
            track.clear()
        return out

    def switch(self, source: str, on: bool) -> None:
        """Use a camera or do without it; its images are not kept while it is off."""
        if source not in self.cameras:
            raise InputError(f'there is no camera {source!r} here ({", ".join(self.cameras) or "none"})')
        if on:
            self._off.discard(source)
        else:
            self._off.add(source)
            self.cameras[source].clear()

    def is_on(self, source: str) -> bool:
        return source not in self._off

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def dropped(self) -> int:
        """Sweeps that came and never go out: duplicates and those older than one that went out."""
        return self.counts['duplicate sweeps'] + self.counts['sweeps out of order']

    @property
    def sweep_period_ns(self) -> int | None:
        """Between the stamps of sweeps, learned."""
        return self._lidar.rhythm.period_ns

    # -----------------------------------------------------------------------------------------------------------------

    def _tick(self, now_ns: int) -> int:
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _jumped_back(self, newest_ns: int, stamp_ns: int) -> bool:
        """More than disorder by one place, or a second sweep in a row that is older and goes on from the first."""
        tolerated = min(self.settings.jump_ns, round(1.5 * (self._lidar.rhythm.period_ns or self.settings.period_ns)))
        again = self._lidar.refused_ns is not None and self._lidar.refused_ns < stamp_ns < newest_ns
        return newest_ns - stamp_ns > tolerated or again

    def _forget(self, stamp_ns: int) -> None:
        """Time begins again at ``stamp_ns``: images from long after it are of the time before."""
        self._lidar = _Lidar()
        for track in self.cameras.values():
            track.clear(after_ns=stamp_ns + self.reference_ns + track.offset_ns + 2 * self.settings.jump_ns)

    def _target(self, sweep: _Pending[Sweep], track: CameraTrack[Image]) -> int:
        return sweep.stamp_ns + self.reference_ns + track.offset_ns

    def _ready_at(self, sweep: _Pending[Sweep], now_ns: int) -> int:
        """The time when nothing more is to be waited for; ``now_ns`` or before if that is now."""
        if now_ns >= sweep.deadline_ns:
            return sweep.deadline_ns
        waits = [track.wait_until(self._target(sweep, track), self.settings.tolerance_ns, now_ns, sweep.deadline_ns)
                 for name, track in self.cameras.items() if name not in self._off]
        return max((until for until in waits if until is not None), default=now_ns)

    def _go(self, now_ns: int) -> Match[Sweep, Image]:
        """The oldest sweep that waits goes out with the nearest image of each camera."""
        sweep = self._pending.pop(0)
        images: dict[str, StampedImage[Image]] = {}
        missing: dict[str, str] = {}
        for name, track in self.cameras.items():
            if name in self._off:
                missing[name] = OFF
                continue
            target = self._target(sweep, track)
            before = (target + self._target(self._pending[0], track) + 1) // 2 if self._pending else None
            image = track.nearest(target, self.settings.tolerance_ns, before)
            if image is not None:
                track.use(image, target)
                images[name] = image
                continue
            track.counts['missed'] += 1
            missing[name] = ('no image has come yet' if not track.counts['images'] else
                             'no image near the sweep' if track.alive(now_ns) else 'no images any more')
        self.counts['out'] += 1
        self._lidar.last_out_ns = sweep.stamp_ns
        return Match(sweep.stamp_ns, sweep.payload, sweep.arrived_ns, now_ns - sweep.arrived_ns, images, missing)
