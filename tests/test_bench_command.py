from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sam2amml_core.bundle import load_bundle
from sam2amml_core.commands.bench import STAGES, as_message, run
from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.io.pointcloud2 import decode
from sam2amml_core.lidar.flat_sweep import flat_sweep


def test_the_message_is_the_cloud_again() -> None:
    cloud = flat_sweep(load_bundle('street32').sensor)
    again = decode(as_message(cloud))
    for name in ('xyz', 'intensity', 'ring', 'time'):
        np.testing.assert_allclose(getattr(again, name), getattr(cloud, name), atol=1e-7, err_msg=name)


def test_every_stage_is_timed_and_the_report_says_on_what(tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    file = tmp_path / 'new' / 'bench.json'
    report = run('street32', engine='cpu', threads=1, sweeps=4, output=file, console=console)
    assert json.loads(file.read_text()) == report
    assert set(report['stage_ms']) == set(STAGES)
    for stage in STAGES:
        spans = report['stage_ms'][stage]
        assert 0 < spans['p50'] <= spans['p95'] <= spans['p99']
    parts = sum(report['stage_ms'][stage]['p50'] for stage in STAGES if stage != 'total')
    assert parts <= 1.5 * report['stage_ms']['total']['p99']
    assert report['points'] == 32 * 2048
    assert report['sweeps'] == 4
    assert report['machine']['processor']
    assert report['machine']['cores'] >= 1
    text = console.export_text()
    assert 'street32 on 65,536 points' in text
    assert 'onnxruntime' in text


def test_a_recording_is_timed_sweep_by_sweep(tmp_path: Path) -> None:
    cloud = flat_sweep(load_bundle('street32').sensor)
    for number in range(2):
        part = PointCloud(cloud.xyz[:1000 * (number + 1)], cloud.intensity[:1000 * (number + 1)])
        np.column_stack((part.xyz, part.intensity)).tofile(tmp_path / f'{number:06d}.bin')
    report = run('street32', tmp_path, 'cpu', 1, 4, console=Console(quiet=True))
    assert report['points'] == 1500
    assert report['input'] == str(tmp_path)


def test_nothing_to_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='at least 1 sweep'):
        run('street32', sweeps=0)
    with pytest.raises(InputError):
        run('street32', tmp_path, console=Console(quiet=True))
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot write'):
        run('street32', engine='cpu', threads=1, sweeps=1, output=tmp_path / 'file' / 'x.json',
            console=Console(quiet=True))


def test_building_only_needs_tensorrt() -> None:
    pytest.importorskip('onnxruntime')
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(EngineError, match='TensorRT is not installed'):
            run('street64', only_build=True, console=Console(quiet=True))
    else:
        pytest.skip('TensorRT is here')
