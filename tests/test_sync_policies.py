"""The policies of message_filters behind the collector's interface."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')

from sam2amml_core.errors import InputError
from sam2amml_ros.collector import Collector, CollectorSettings
from sam2amml_ros.sync_policies import make_collector

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
INSTALLED = importlib.util.find_spec('message_filters') is not None


def test_the_default_is_led_by_the_lidar_and_unknown_policies_are_named() -> None:
    assert isinstance(make_collector('lidar_led', {'left': 0}, CollectorSettings()), Collector)
    assert isinstance(make_collector('exact', {}, CollectorSettings()), Collector), 'nothing is to match'
    with pytest.raises(InputError, match=r"sync_policy is 'roughly'; choose one of lidar_led, approximate, exact"):
        make_collector('roughly', {}, CollectorSettings())


@pytest.mark.skipif(INSTALLED, reason='message_filters is installed')
@pytest.mark.parametrize('policy', ['approximate', 'exact'])
def test_policies_that_are_not_installed_say_what_to_install(policy: str) -> None:
    with pytest.raises(InputError, match=f"'{policy}', which needs message_filters, not installed.*or use lidar_led"):
        make_collector(policy, {'left': 0}, CollectorSettings())


@pytest.mark.skipif(not INSTALLED, reason='message_filters is not installed')
@pytest.mark.parametrize(('policy', 'skew'), [('approximate', 7 * MS), ('exact', 0)])
def test_policies_of_message_filters_pair_sweeps_with_an_image_of_every_camera(policy: str, skew: int) -> None:
    collector = make_collector(policy, {'left': 0, 'right': 20 * MS}, CollectorSettings())
    out = []
    for i in range(10):
        stamp = EPOCH + i * 100 * MS
        out += collector.add_sweep(stamp, f'sweep {i}', i * 100 * MS)
        out += collector.add_image(stamp + skew, 'left', f'left {i}', i * 100 * MS + 5 * MS)
        if i < 6:
            out += collector.add_image(stamp + 20 * MS, 'right', f'right {i}', i * 100 * MS + 25 * MS)
    assert [(m.payload, m.images['left'].payload, m.images['right'].payload) for m in out] == [
        (f'sweep {i}', f'left {i}', f'right {i}') for i in range(6)]
    assert collector.cameras['left'].skew_ns == skew
    assert out[0].waited_ns == 25 * MS
    with pytest.raises(InputError, match='needs all cameras'):
        collector.switch('left', False)
