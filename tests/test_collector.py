"""The collector that puts images to sweeps, driven by hand: every failure of section 'time' in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')

from sam2amml_core.errors import InputError
from sam2amml_ros.collector import Collector, CollectorSettings, Match

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS


@dataclass
class Drive:
    """Sensors on a time line of milliseconds; polls at every deadline, as the node does."""

    collector: Collector[int, int]
    now: int = 0
    out: list[Match[int, int]] = field(default_factory=list)
    sent: int = 0

    def at(self, ms: float) -> None:
        until = round(ms * MS)
        while (due := self.collector.next_deadline_ns()) is not None and due <= until:
            self.now = max(self.now, due)
            self._take(self.collector.poll(self.now))
        self.now = max(self.now, until)

    def sweep(self, ms: float, arrives: float | None = None, epoch: int = EPOCH) -> None:
        self.at(ms if arrives is None else arrives)
        self.sent += 1
        self._take(self.collector.add_sweep(epoch + round(ms * MS), self.sent, self.now))

    def image(self, camera: str, ms: float, arrives: float | None = None, epoch: int = EPOCH) -> None:
        self.at(ms if arrives is None else arrives)
        self._take(self.collector.add_image(epoch + round(ms * MS), camera, self.sent, self.now))

    def _take(self, matches: list[Match[int, int]]) -> None:
        self.out += matches

    def run(self, events: list[tuple[float, str, float]], epoch: int = EPOCH) -> None:
        """Events (arrives, source, stamp) in order of arrival."""
        for arrives, source, stamp in sorted(events):
            if source == 'lidar':
                self.sweep(stamp, arrives, epoch)
            else:
                self.image(source, stamp, arrives, epoch)


def steady(source: str, period: float, first: float, last: float, delay: float = 0.0) -> list[tuple[float, str, float]]:
    count = int((last - first) / period + 1e-6)
    return [(first + i * period + delay, source, first + i * period) for i in range(count)]


def drive(*cameras: str, **options: float) -> Drive:
    return Drive(Collector(dict.fromkeys(cameras, 0), CollectorSettings(**options)))  # type: ignore[arg-type]


def test_a_sweep_goes_out_at_once_when_all_images_are_there() -> None:
    d = drive('left', 'right')
    d.run(steady('lidar', 100, 0, 2000, 5) + steady('left', 100, 0, 2000, 3) + steady('right', 100, 0, 2000, 4))
    assert len(d.out) == 20
    assert all(set(m.images) == {'left', 'right'} and m.waited_ns == 0 for m in d.out)
    assert all(i.stamp_ns == m.stamp_ns for m in d.out for i in m.images.values())


def test_a_sweep_waits_for_images_that_come_a_little_later_and_no_longer() -> None:
    d = drive('left', 'right')
    d.run(steady('lidar', 100, 0, 2000, 5) + steady('left', 100, 0, 2000, 3) + steady('right', 100, 0, 2000, 30))
    learned = d.out[2:]
    assert all(set(m.images) == {'left', 'right'} for m in learned)
    assert {m.waited_ns for m in learned} == {25 * MS}


def test_a_dead_camera_costs_no_waiting_and_is_taken_back_when_it_returns() -> None:
    d = drive('left', 'right')
    lidar = steady('lidar', 100, 0, 6000, 5)
    left = steady('left', 100, 0, 6000, 20)
    right = steady('right', 100, 0, 2000, 30) + steady('right', 100, 4000, 6000, 30)
    d.run(lidar + left + right)
    assert len(d.out) == 60
    dead = [m for m in d.out if 2400 * MS <= m.stamp_ns - EPOCH < 4000 * MS]
    assert all(set(m.images) == {'left'} and m.missing == {'right': 'no images any more'} for m in dead)
    assert {m.waited_ns for m in dead} == {15 * MS}  # what left alone costs
    back = [m for m in d.out if m.stamp_ns - EPOCH >= 4100 * MS]
    assert all(set(m.images) == {'left', 'right'} for m in back)


def test_with_all_cameras_dead_no_sweep_waits() -> None:
    d = drive('left', 'right')
    d.run(steady('lidar', 100, 0, 4000, 5) + steady('left', 100, 0, 1000, 20) + steady('right', 100, 0, 1000, 30))
    assert len(d.out) == 40
    assert all(m.waited_ns == 0 and not m.images for m in d.out if m.stamp_ns - EPOCH >= 1400 * MS)
    assert sum(m.waited_ns > 0 for m in d.out if m.stamp_ns - EPOCH >= 1000 * MS) <= 3


def test_cameras_never_seen_are_not_waited_for() -> None:
    d = drive('left')
    d.run(steady('lidar', 100, 0, 500))
    assert [m.waited_ns for m in d.out] == [0] * 5
    assert {m.missing['left'] for m in d.out} == {'no image has come yet'}


def test_one_lost_image_costs_at_most_the_time_until_it_is_known_to_be_late() -> None:
    d = drive('left')
    d.run(steady('lidar', 100, 0, 1000, 5) + [e for e in steady('left', 100, 0, 1000, 10) if e[2] != 500])
    missed = [m for m in d.out[1:] if not m.images]
    assert [m.stamp_ns - EPOCH for m in missed] == [500 * MS]
    assert 0 < missed[0].waited_ns <= 30 * MS < CollectorSettings().max_wait_ns
    assert len(d.out) == 10


def test_the_nearest_image_is_taken_and_a_nearer_one_waited_for() -> None:
    d = drive('fast')
    d.run(steady('lidar', 100, 0, 3000, 5) + steady('fast', 1000 / 30, 14, 3000, 10))
    for m in d.out[3:-1]:
        assert abs(m.images['fast'].stamp_ns - m.stamp_ns) <= 17 * MS


def test_a_recording_that_loops_with_a_camera_at_30_hz_loses_no_sweep_and_no_pairing() -> None:
    d = drive('fast')
    length = 10_000.0
    for turn in range(3):
        events = steady('lidar', 100, 0, length, 5) + steady('fast', 1000 / 30, 0, length, 8)
        d.run([(arrives + turn * (length + 50), source, stamp) for arrives, source, stamp in events])
    d.at(d.now / MS + 100)
    assert len(d.out) == 300
    assert sum(not m.images for m in d.out) <= 3
    assert d.collector.counts['jumps'] == 2
    assert d.collector.dropped == 0
    assert all(abs(m.images['fast'].stamp_ns - m.stamp_ns) <= 17 * MS for m in d.out if m.images)


@pytest.mark.parametrize('jump', [-3600_000.0, -2000.0, -300.0, 300.0, 2000.0, 3600_000.0])
def test_a_clock_that_jumps_costs_no_sweep_and_two_pairings_at_most(jump: float) -> None:
    d = drive('left', 'right')
    before = [*steady('lidar', 100, 0, 3000, 5), *steady('left', 100, 0, 3000, 20), *steady('right', 100, 0, 3000, 30)]
    after = [(arrives, source, stamp + jump) for arrives, source, stamp in
             [*steady('lidar', 100, 3000, 6000, 5), *steady('left', 100, 3000, 6000, 20),
              *steady('right', 100, 3000, 6000, 30)]]
    d.run(before + after)
    d.at(6200)
    assert len(d.out) == 60
    assert d.collector.dropped == 0
    late = d.out[32:]
    assert all(set(m.images) == {'left', 'right'} for m in late)
    assert all(i.stamp_ns == m.stamp_ns for m in late for i in m.images.values())
    assert all(m.waited_ns <= CollectorSettings().max_wait_ns for m in d.out)


def test_a_small_step_back_of_the_clock_loses_one_sweep_at_most() -> None:
    d = drive()
    d.run(steady('lidar', 100, 0, 2000))
    for i in range(10):
        d.sweep(1900 - 120 + 100 * i, arrives=2000 + 100 * i)
    assert len(d.out) >= 29
    assert d.out[-1].stamp_ns == EPOCH + (1780 + 900) * MS


def test_duplicates_and_sweeps_out_of_order_are_counted_not_served_twice() -> None:
    d = drive('left')
    d.run(steady('lidar', 100, 0, 1000))
    d.sweep(900, arrives=1001)
    d.sweep(850, arrives=1002)
    d.sweep(1000, arrives=1003)
    assert d.collector.counts['duplicate sweeps'] == 1
    assert d.collector.counts['sweeps out of order'] == 1
    assert [m.stamp_ns - EPOCH for m in d.out] == [100 * i * MS for i in range(11)]


def test_a_lidar_whose_clock_stands_still_is_not_silenced() -> None:
    d = drive('left')
    for i in range(20):
        d.sweep(0, arrives=100 * i)
    assert d.collector.dropped == 2
    assert [m.payload for m in d.out] == [1, *range(4, 21)]


def test_images_out_of_order_are_used_and_duplicates_counted() -> None:
    d = drive('left')
    d.run(steady('left', 100, 0, 1000))
    d.image('left', 1100, arrives=1101)
    d.image('left', 1000, arrives=1102)
    d.image('left', 1000, arrives=1103)
    d.sweep(1000, arrives=1110)
    assert d.out[-1].images['left'].stamp_ns == EPOCH + 1000 * MS
    counts = d.collector.cameras['left'].counts
    assert (counts['out of order'], counts['duplicates']) == (1, 1)


def test_images_that_arrive_in_bunches_are_still_waited_for() -> None:
    """A busy machine delivers five images at once; that must not make the camera look dead or fast."""
    d = drive('left')
    events = steady('lidar', 100, 0, 3000, 5) + steady('left', 100, 0, 1000, 20) + steady('left', 100, 1500, 3000, 20)
    events += [(1500.0 + i, 'left', stamp) for i, stamp in enumerate((1000.0, 1100.0, 1200.0, 1300.0, 1400.0))]
    d.run(events)
    assert all(m.images for m in d.out if m.stamp_ns - EPOCH >= 1600 * MS)


def test_offsets_say_which_image_belongs_to_a_sweep() -> None:
    d = Drive(Collector({'left': 30 * MS}, CollectorSettings(tolerance_ns=10 * MS)))
    d.collector.reference_ns = 50 * MS
    d.run(steady('lidar', 100, 0, 1000, 100) + steady('left', 100, 80, 1080, 10))
    assert {i.stamp_ns - m.stamp_ns for m in d.out[1:-1] for i in m.images.values()} == {80 * MS}


def test_a_camera_switched_off_is_neither_used_nor_waited_for() -> None:
    d = drive('left', 'right')
    d.collector.switch('right', False)
    d.run(steady('lidar', 100, 0, 1000, 5) + steady('left', 100, 0, 1000, 5) + steady('right', 100, 0, 1000, 40))
    assert all(m.missing == {'right': 'switched off'} and m.waited_ns == 0 for m in d.out[2:])
    d.collector.switch('right', True)
    d.run([(a + 1000, s, t + 1000) for a, s, t in steady('lidar', 100, 0, 1000, 5) + steady('left', 100, 0, 1000, 5)
           + steady('right', 100, 0, 1000, 40)])
    d.at(3000)
    assert all(set(m.images) == {'left', 'right'} for m in d.out[-8:])


def test_wrong_names_and_settings_are_refused() -> None:
    with pytest.raises(InputError, match='no camera'):
        drive('left').image('rear', 0)
    with pytest.raises(InputError, match='lidar'):
        Collector({'lidar': 0})
    with pytest.raises(InputError, match='ring is 0'):
        CollectorSettings(ring=0)


STEPS = st.one_of(st.integers(0, 120), st.sampled_from([-5000, -300, -150, -40, 0, 0, 1000, 50_000]))
EVENTS = st.lists(st.tuples(st.sampled_from(['lidar', 'lidar', 'a', 'b']), STEPS, st.integers(0, 60)), max_size=120)


@settings(max_examples=400, deadline=None)
@given(EVENTS, st.integers(0, 80), st.integers(1, 6), st.integers(0, 100))
def test_whatever_comes_every_sweep_goes_out_once_in_time_or_is_counted(
        events: list[tuple[str, int, int]], max_wait: int, ring: int, tolerance: int) -> None:
    d = drive('a', 'b', max_wait_ns=max_wait * MS, ring=ring, tolerance_ns=tolerance * MS)
    stamps = {'lidar': 100_000, 'a': 100_000, 'b': 100_000}
    now, sent, images = 0.0, 0, 0
    for source, step, delay in events:
        stamps[source] += step
        now += delay
        if source == 'lidar':
            sent += 1
            d.sweep(stamps[source], arrives=now)
        else:
            images += 1
            d.at(now)
            d.out += d.collector.add_image(EPOCH + stamps[source] * MS, source, images, d.now)
    d.at(now + max_wait)
    c = d.collector
    served = [m.payload for m in d.out]
    assert c.pending == 0
    assert len(served) == len(set(served)), 'no sweep goes out twice'
    assert len(served) + c.dropped == sent == c.counts['sweeps']
    assert all(m.waited_ns <= max_wait * MS for m in d.out)
    used = [(name, i.payload) for m in d.out for name, i in m.images.items()]
    assert len(used) == len(set(used)), 'no image is used for two sweeps'
    assert all(abs(i.stamp_ns - m.stamp_ns) <= tolerance * MS for m in d.out for i in m.images.values())
    assert all(set(m.images) | set(m.missing) == {'a', 'b'} and not set(m.images) & set(m.missing) for m in d.out)
    assert all(track.waiting_images <= ring for track in c.cameras.values())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-90, 90), min_size=1, max_size=6, unique=True), st.integers(1, 90))
def test_of_the_images_that_are_there_the_nearest_is_taken(offsets: list[int], tolerance: int) -> None:
    d = drive('a', ring=8, tolerance_ns=tolerance * MS, max_wait_ns=0, jump_ns=10_000 * MS)
    for offset in sorted(offsets):
        d.image('a', 1000 + offset, arrives=2000)
    d.sweep(1000, arrives=2001)
    best = min(offsets, key=abs)
    image = d.out[0].images.get('a')
    if abs(best) > tolerance:
        assert image is None
    else:
        assert image is not None and abs(image.stamp_ns - EPOCH - 1000 * MS) == abs(best) * MS


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(0, 45), st.integers(0, 45), st.floats(8, 60), st.integers(0, 2**32))
def test_steady_sensors_with_jitter_are_always_paired(phase: int, delay: int, lidar_delay: int, hertz: float, seed: int
                                                      ) -> None:
    """Whatever the rates, phases and delays: if an image exists within the tolerance in time, the sweep has one."""
    import random

    jitter = random.Random(seed)
    period = 1000 / hertz
    camera = [(stamp + delay + jitter.uniform(0, 3), source, stamp) for _, source, stamp in
              steady('a', period, phase, 3000)]
    lidar = steady('lidar', 100, 0, 2900, lidar_delay)
    d = drive('a', tolerance_ns=round(1.1 * period / 2 * MS), max_wait_ns=150 * MS)
    d.run(camera + lidar)
    d.at(4000)
    assert len(d.out) == len(lidar)
    stamps = [stamp for _, _, stamp in camera]
    for m in d.out[8:]:
        at = (m.stamp_ns - EPOCH) / MS
        if period <= 100 and min(abs(s - at) for s in stamps) < period / 2:
            assert m.images, (at, m.missing)
