"""Some cases of ``make faults``, shortened, and what the tool says of a node that does lose sweeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='the ROS tests need rclpy (extra [ros], or a ROS 2 installation)')

from ros_peer import new_domain
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_ros.faults.__main__ import run_case
from sam2amml_ros.faults.cases import CASES, Case

FIELDS = {'case', 'sweeps_in', 'labelled', 'lost', 'destroyed_by_the_case', 'recovered_after_sweeps', 'node_alive',
          'latency_p99_ms'}


def case(name: str, **changes: Any) -> Case:
    return replace(next(c for c in CASES if name in c.name), **changes)


@pytest.mark.parametrize('name', ['clock jumps back', 'clouds nobody can read'])
def test_a_fault_costs_no_sweep_but_those_it_destroys_itself(
        bundle: Path, tmp_path: Path, name: str) -> None:  # noqa: F811
    result = run_case(case(name, sweeps=24, event_at=15), str(bundle), new_domain(), tmp_path)
    assert set(result) >= FIELDS
    assert result['sweeps_in'] == 24
    assert result['node_alive']
    assert result['lost'] == 0, result
    assert result['recovered_after_sweeps'] <= 2
    assert result['labelled'] == 24 - result['destroyed_by_the_case']
    assert result['labelled_twice'] == 0


def test_sweeps_that_are_lost_are_said_to_be_lost(bundle: Path, tmp_path: Path) -> None:  # noqa: F811
    """The overloaded node drops sweeps; a case that does not allow for that counts them as lost."""
    result = run_case(case('overload', sweeps=14, counted_drops=False), str(bundle), new_domain(), tmp_path)
    assert result['lost'] >= 3
    assert result['lost'] == result['dropped_by_the_node']
