"""The thread that keeps the collector's deadlines, and the C library's memory."""

from __future__ import annotations

import platform
import struct
import threading
from time import monotonic_ns

import pytest

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')

from sam2amml_ros.collector import Collector, CollectorSettings, Match
from sam2amml_ros.process import keep_freed_memory, resident_mb
from sam2amml_ros.sweep_input import SweepInput

MS = 1_000_000


def message(stamp_ns: int) -> bytes:
    return b'\0\1\0\0' + struct.pack('<iI', *divmod(stamp_ns, 10**9))


def test_a_sweep_that_waits_goes_out_by_itself_when_its_time_is_over() -> None:
    out: list[Match[bytes, bytes]] = []
    gone = threading.Event()

    def matched(match: Match[bytes, bytes]) -> None:
        out.append(match)
        gone.set()

    sweeps = SweepInput(Collector({'left': 0}, CollectorSettings(max_wait_ns=80 * MS)), matched, lambda *_: None)
    sweeps.start()
    start = monotonic_ns()
    sweeps.add_image('left', message(1_000 * MS))  # one image: its period is not known, so the next may come any time
    sweeps.add_sweep(message(1_100 * MS))
    assert not out
    assert gone.wait(10), 'nobody sent anything more'
    assert monotonic_ns() - start >= 80 * MS
    assert out[0].waited_ns >= 80 * MS
    assert out[0].missing == {'left': 'no image near the sweep'}
    sweeps.stop()


def test_what_comes_after_the_end_is_ignored() -> None:
    out: list[Match[bytes, bytes]] = []
    sweeps = SweepInput(Collector({}), out.append, lambda *_: None)
    sweeps.start()
    sweeps.add_sweep(message(MS))
    sweeps.stop()
    sweeps.add_sweep(message(2 * MS))
    assert len(out) == 1


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is of glibc')
def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_freed_memory()
    assert (resident_mb() or 0) > 10
