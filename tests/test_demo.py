"""``make demo`` in small: the street, three processes over DDS, the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='the demo needs rclpy (extra [ros], or a ROS 2 installation)')
pytest.importorskip('rosbags', reason='bags need the rosbags library (extra [ros])')
pytest.importorskip('embreex', reason='the synthetic street needs embreex')

from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.io.bag import BagInput
from sam2amml_ros.stages import STAGES
from training.commands.world_bag import Drive, run

ROOT = Path(__file__).parents[1]
SWEEPS = 6


def demo(output: Path, model: Path | str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-m', 'sam2amml_ros.demo', '--output', str(output), '--model', str(model),
                           '--sweeps', str(SWEEPS), '--cameras', '0', '--threads', '1', *arguments], cwd=ROOT,
                          timeout=120, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def result(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:  # noqa: F811
    folder = tmp_path_factory.mktemp('demo')
    done = demo(folder, bundle, '--no-media')
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_demo_writes_its_figures_and_prints_them(result: tuple[Path, str]) -> None:
    folder, printed = result
    summary = json.loads((folder / 'summary.json').read_text())
    assert list(summary) == ['sweeps_published', 'sweeps_labelled', 'points_per_sweep', 'hz', 'latency_ms', 'stage_ms',
                             'miou', 'per_class_iou']
    assert summary['sweeps_published'] == SWEEPS
    assert 0 < summary['sweeps_labelled'] <= SWEEPS
    assert summary['points_per_sweep'] > 90_000
    latency = summary['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99']
    assert set(summary['stage_ms']) == set(STAGES)
    assert summary['per_class_iou']['road'] > 20, 'low points are road'
    assert 0 < summary['miou'] < 60
    assert 'latency p50 / p95 / p99' in printed


def test_the_labelled_bag_of_the_demo_can_be_read_and_holds_the_labelled_sweeps(result: tuple[Path, str]) -> None:
    folder, _ = result
    summary = json.loads((folder / 'summary.json').read_text())
    assert len(BagInput(folder / 'labelled_bag')) == summary['sweeps_labelled']


def test_the_street_is_kept_for_the_next_demo_unless_something_of_it_is_missing(result: tuple[Path, str]) -> None:
    folder = result[0] / 'sequence'
    drive = Drive(number=100, sweeps=SWEEPS, cameras=0)
    bag = folder / 'bag' / 'bag.mcap'
    before = bag.stat().st_mtime_ns, bag.read_bytes()
    run(folder, drive)
    assert bag.stat().st_mtime_ns == before[0]
    (folder / 'labels' / '000003.label').unlink()
    run(folder, drive, processes=1)
    assert bag.stat().st_mtime_ns != before[0]
    assert bag.read_bytes() == before[1], 'the same drive gives the same bytes, by one process or two'


def test_a_demo_with_a_model_that_is_missing_says_so(result: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / 'sequence').symlink_to(result[0] / 'sequence')
    done = demo(tmp_path, 'no_such_model')
    assert done.returncode == 1
    assert 'no_such_model' in done.stdout
    assert 'Traceback' not in done.stdout + done.stderr
