"""From subscriptions to matches: a collector behind a lock, and a thread that keeps its deadlines on a steady clock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns

from sam2amml_core.errors import InputError
from sam2amml_core.io.cdr import read_stamp
from sam2amml_ros.collector import Match
from sam2amml_ros.sync_policies import SweepCollector

Matched = Callable[[Match[bytes, bytes]], None]


@dataclass(frozen=True)
class CameraSync:
    """What diagnostics say of a camera's images; in ms, None while unknown; ``skew_ms``: of the last image used."""

    on: bool
    alive: bool
    age_ms: float | None
    skew_ms: float | None
    period_ms: float | None
    counts: Counter[str]


class SweepInput:
    """Takes serialised messages in from any thread; ``matched`` gets each sweep that goes out, ``refused`` a reason."""

    def __init__(self, collector: SweepCollector[bytes, bytes], matched: Matched,
                 refused: Callable[[str, str], None]) -> None:
        self._collector = collector
        self._matched = matched
        self._refused = refused
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._keep_deadlines, name='collector', daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; sweeps that still wait are given up."""
        with self._changed:
            self._stopped = True
            self._collector.flush(monotonic_ns())
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def add_sweep(self, raw: bytes) -> None:
        try:
            stamp_ns = read_stamp(raw)
        except InputError as error:
            self._refused('sweep', str(error))
            return
        with self._changed:
            if self._stopped:
                return
            before = self._collector.dropped
            matches = self._collector.add_sweep(stamp_ns, raw, monotonic_ns())
            refused = self._collector.dropped > before
            self._hand_over(matches)
            self._changed.notify()
        if refused:
            self._refused('sweep', f'its stamp {stamp_ns * 1e-9:.3f} s is that of a sweep that came before, or older; '
                                   'check that there is one LiDAR driver on the topic and that its clock runs')

    def add_image(self, camera: str, raw: bytes) -> None:
        try:
            stamp_ns = read_stamp(raw)
        except InputError as error:
            self._refused(f'image of {camera}', str(error))
            return
        with self._changed:
            if not self._stopped:
                self._hand_over(self._collector.add_image(stamp_ns, camera, raw, monotonic_ns()))
                self._changed.notify()

    def set_reference(self, reference_ns: int) -> None:
        """From a sweep's stamp to the time its images should be nearest to."""
        with self._changed:
            self._collector.reference_ns = reference_ns

    def switch_off(self, cameras: tuple[str, ...]) -> None:
        """Use all cameras but these. Raises InputError when the policy needs all."""
        with self._changed:
            for name in self._collector.cameras:
                if self._collector.is_on(name) == (name in cameras):
                    self._collector.switch(name, name not in cameras)

    def forget(self) -> None:
        """Time jumped: let what waits go out, and learn again."""
        with self._changed:
            self._hand_over(self._collector.flush(monotonic_ns()))

    def status(self) -> tuple[Counter[str], dict[str, CameraSync]]:
        """Counts of sweeps, and each camera's state."""
        with self._changed:
            now = monotonic_ns()
            cameras = {name: CameraSync(self._collector.is_on(name), track.alive(now), _ms(track.age_ns(now)),
                                        _ms(track.skew_ns), _ms(track.period_ns), Counter(track.counts))
                       for name, track in self._collector.cameras.items()}
            return Counter(self._collector.counts), cameras

    def _hand_over(self, matches: list[Match[bytes, bytes]]) -> None:
        for match in matches:
            self._matched(match)

    def _keep_deadlines(self) -> None:
        with self._changed:
            while not self._stopped:
                due = self._collector.next_deadline_ns()
                wait_s = None if due is None else (due - monotonic_ns()) * 1e-9
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                else:
                    self._hand_over(self._collector.poll(monotonic_ns()))


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns * 1e-6
