"""Which collector puts images to sweeps: ours, or one of the policies of ``message_filters`` where that is installed.

``approximate`` and ``exact`` are for comparison and for vehicles set up for them. They need an image of *every* camera
for every sweep: when one camera stops, sweeps are no longer labelled (``lidar_led`` goes on).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Generic, Protocol, TypeVar

from builtin_interfaces.msg import Time

from sam2amml_core.errors import InputError
from sam2amml_ros.camera_track import CameraTrack, StampedImage
from sam2amml_ros.collector import LIDAR, Collector, CollectorSettings, Match

Sweep = TypeVar('Sweep')
Image = TypeVar('Image')

POLICIES = ('lidar_led', 'approximate', 'exact')
QUEUE = 10
"""Messages of each source that a policy of message_filters keeps."""


class SweepCollector(Protocol[Sweep, Image]):
    """What the node needs of a collector; see ``Collector``."""

    counts: Counter[str]
    cameras: dict[str, CameraTrack[Image]]
    reference_ns: int

    def add_sweep(self, stamp_ns: int, payload: Sweep, now_ns: int) -> list[Match[Sweep, Image]]: ...

    def add_image(self, stamp_ns: int, source: str, payload: Image, now_ns: int) -> list[Match[Sweep, Image]]: ...

    def poll(self, now_ns: int) -> list[Match[Sweep, Image]]: ...

    def next_deadline_ns(self) -> int | None: ...

    def flush(self, now_ns: int) -> list[Match[Sweep, Image]]: ...

    def switch(self, source: str, on: bool) -> None: ...

    def is_on(self, source: str) -> bool: ...

    @property
    def dropped(self) -> int: ...

    @property
    def sweep_period_ns(self) -> int | None: ...


def make_collector(policy: str, cameras: Mapping[str, int], settings: CollectorSettings) -> SweepCollector[Any, Any]:
    """The collector of a policy. Raises InputError when it is unknown or message_filters is not installed."""
    if policy not in POLICIES:
        raise InputError(f'parameter sync_policy is {policy!r}; choose one of {", ".join(POLICIES)}')
    if policy == 'lidar_led' or not cameras:
        return Collector(cameras, settings)
    try:
        filters = import_module('message_filters')
    except ImportError as error:
        raise InputError(f'parameter sync_policy is {policy!r}, which needs message_filters, not installed here; '
                         'install ros-<distro>-message-filters, or use lidar_led') from error
    return FilterCollector(cameras, settings, policy, filters)


@dataclass(frozen=True, eq=False)
class _Item(Generic[Sweep]):
    """What travels through message_filters: only its header is looked at."""

    header: SimpleNamespace
    stamp_ns: int
    arrived_ns: int
    payload: Sweep


class FilterCollector(Generic[Sweep, Image]):
    """``Collector``'s interface over ``TimeSynchronizer`` or ``ApproximateTimeSynchronizer`` of message_filters."""

    def __init__(self, cameras: Mapping[str, int], settings: CollectorSettings, policy: str, filters: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.reference_ns = 0
        self.cameras: dict[str, CameraTrack[Image]] = {
            name: CameraTrack(offset, settings.ring, settings.dead_after, settings.period_ns)
            for name, offset in cameras.items()}
        self._settings = settings
        self._inputs = {name: filters.SimpleFilter() for name in (LIDAR, *cameras)}
        sources = list(self._inputs.values())
        if policy == 'exact':
            self._synchroniser = filters.TimeSynchronizer(sources, QUEUE)
        else:
            self._synchroniser = filters.ApproximateTimeSynchronizer(sources, QUEUE, settings.tolerance_ns * 1e-9)
        self._synchroniser.registerCallback(self._matched)
        self._out: list[Match[Sweep, Image]] = []
        self._now_ns = 0

    def add_sweep(self, stamp_ns: int, payload: Sweep, now_ns: int) -> list[Match[Sweep, Image]]:
        self.counts['sweeps'] += 1
        return self._signal(LIDAR, stamp_ns, stamp_ns, payload, now_ns)

    def add_image(self, stamp_ns: int, source: str, payload: Image, now_ns: int) -> list[Match[Sweep, Image]]:
        if source not in self.cameras:
            raise InputError(f'image from {source!r}, which is no camera here ({", ".join(self.cameras) or "none"})')
        track = self.cameras[source]
        track.add(stamp_ns, payload, now_ns, self._settings.jump_ns)
        return self._signal(source, stamp_ns, stamp_ns - self.reference_ns - track.offset_ns, payload, now_ns)

    def poll(self, now_ns: int) -> list[Match[Sweep, Image]]:
        out, self._out = self._out, []
        return out

    def next_deadline_ns(self) -> int | None:
        return None

    def flush(self, now_ns: int) -> list[Match[Sweep, Image]]:
        return self.poll(now_ns)

    def switch(self, source: str, on: bool) -> None:
        if not on:
            raise InputError(f'camera {source} cannot be switched off with this sync_policy, which needs all cameras; '
                             'use lidar_led')

    def is_on(self, source: str) -> bool:
        return True

    @property
    def dropped(self) -> int:
        """Sweeps for which the policy found no images, the last ones may still find theirs."""
        return max(0, self.counts['sweeps'] - self.counts['out'] - QUEUE)

    @property
    def sweep_period_ns(self) -> int | None:
        return None

    def _signal(self, source: str, stamp_ns: int, shown_ns: int, payload: Any, now_ns: int
                ) -> list[Match[Sweep, Image]]:
        self._now_ns = now_ns
        shown = Time(sec=shown_ns // 1_000_000_000, nanosec=shown_ns % 1_000_000_000)
        self._inputs[source].signalMessage(_Item(SimpleNamespace(stamp=shown), stamp_ns, now_ns, payload))
        return self.poll(now_ns)

    def _matched(self, sweep: _Item, *images: _Item) -> None:
        found = {}
        for (name, track), item in zip(self.cameras.items(), images, strict=True):
            found[name] = StampedImage(item.stamp_ns, item.arrived_ns, item.payload)
            track.use(found[name], sweep.stamp_ns + self.reference_ns + track.offset_ns)
        self.counts['out'] += 1
        waited = self._now_ns - sweep.arrived_ns
        self._out.append(Match(sweep.stamp_ns, sweep.payload, sweep.arrived_ns, waited, found, {}))


