"""The command ``sam2amml segment`` from end to end, with a network of three operators that labels by height."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from test_calibration import row

from sam2amml_core.bundle import Normalisation, Provenance, SensorGeometry, write_bundle
from sam2amml_core.commands.segment import SegmentOptions, run
from sam2amml_core.errors import BundleError, InputError
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY
from sam2amml_core.io.clouds import read_kitti_bin
from sam2amml_core.io.labels import read_label, write_label
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.range_view import FEATURES

onnx = pytest.importorskip('onnx', reason='the test network is written with onnx (extra [dev])')
ROAD, BUILDING = 40, 50
LOW = -1.0
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose network calls points below ``LOW`` road and all others building."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: np.ndarray) -> TensorProto:
        return numpy_helper.from_array(value, name)

    road, building = (int(SEMANTIC_KITTI.raw_to_train[raw]) for raw in (ROAD, BUILDING))
    graph = helper.make_graph(
        [helper.make_node('Gather', ['features', 'z'], ['height'], axis=1),
         helper.make_node('Less', ['height', 'low'], ['is_low']),
         helper.make_node('Where', ['is_low', 'road', 'building'], ['class_id']),
         helper.make_node('Where', ['is_low', 'sure', 'unsure'], ['probability'])],
        'by_height',
        [helper.make_tensor_value_info('features', TensorProto.FLOAT, ['N', len(FEATURES)]),
         helper.make_tensor_value_info('pixel', TensorProto.INT64, ['N'])],
        [helper.make_tensor_value_info('class_id', TensorProto.UINT8, ['N']),
         helper.make_tensor_value_info('probability', TensorProto.FLOAT, ['N'])],
        [constant('z', np.array(FEATURES.index('z'))), constant('low', np.array(LOW, np.float32)),
         constant('road', np.array(road, np.uint8)), constant('building', np.array(building, np.uint8)),
         constant('sure', np.array(0.9, np.float32)), constant('unsure', np.array(0.6, np.float32))])
    folder = tmp_path_factory.mktemp('model')
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    onnx.save(model, str(folder / 'height.onnx'))
    plain = Normalisation(mean=dict.fromkeys(FEATURES, 0.0), std=dict.fromkeys(FEATURES, 1.0))
    sensor = SensorGeometry(beams=64, fov_up_deg=3, fov_down_deg=-25, image_height=64, image_width=512,
                            sensor_height_m=1.73)
    write_bundle(folder / 'height', folder / 'height.onnx', 'height', SEMANTIC_KITTI, sensor, plain, Provenance())
    return folder / 'height'


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """Two sweeps of a SemanticKITTI sequence with images, the first with labels that are right for half the road."""
    random = np.random.default_rng(0)
    for number in range(2):
        azimuth = random.uniform(-np.pi, np.pi, 4000)
        elevation = np.radians(random.uniform(-22, 1, 4000))
        reach = np.minimum(20, np.where(elevation < 0, 1.73 / np.tan(np.maximum(-elevation, 1e-3)), 20))
        values = np.stack((reach * np.cos(azimuth), reach * np.sin(azimuth), reach * np.tan(elevation),
                           random.uniform(0, 1, 4000)), axis=1).astype('<f4')
        values[7, 0] = np.nan
        for folder in ('velodyne', 'image_2'):
            (tmp_path / 'seq' / folder).mkdir(parents=True, exist_ok=True)
        values.tofile(tmp_path / 'seq' / 'velodyne' / f'{number:06d}.bin')
        cv2.imwrite(str(tmp_path / 'seq' / 'image_2' / f'{number:06d}.png'), np.full((90, 300, 3), 128, np.uint8))
    (tmp_path / 'seq' / 'calib.txt').write_text(
        row('P2', [[200, 0, 150, 0], [0, 200, 45, 0], [0, 0, 1, 0]]) + row('Tr', OPTICAL_FROM_BODY[:3]))
    return tmp_path / 'seq'


def quiet() -> Console:
    return Console(file=open(os.devnull, 'w'))


def expected(sequence: Path, name: str) -> np.ndarray:
    xyz = read_kitti_bin(sequence / 'velodyne' / f'{name}.bin').xyz
    with np.errstate(invalid='ignore'):
        raw = np.where(xyz[:, 2] < LOW, ROAD, BUILDING)
    return np.where(np.isfinite(xyz).all(axis=1), raw, 0)


def test_every_sweep_gets_raw_labels_in_its_own_order(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    summary = run(sequence, tmp_path / 'out', str(bundle), console=quiet())
    for name in ('000000', '000001'):
        assert np.array_equal(read_label(tmp_path / 'out' / 'labels' / f'{name}.label'), expected(sequence, name))
    assert summary['sweeps'] == 2 and summary['points'] == 8000 and summary['unknown'] == 2
    assert set(summary['class_share']) == {'road', 'building'} and 'miou' not in summary
    assert json.loads((tmp_path / 'out' / 'summary.json').read_text()) == summary


def test_pictures_are_drawn_of_the_sweep_and_over_the_images(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    run(sequence, tmp_path / 'out', str(bundle), options=SegmentOptions(limit=1), console=quiet())
    pictures = sorted(path.name for path in (tmp_path / 'out' / 'pictures').iterdir())
    assert pictures == ['000000.png', '000000_image_2.jpg']
    picture = cv2.imread(str(tmp_path / 'out' / 'pictures' / '000000_image_2.jpg'))
    assert picture is not None
    drawn = picture.astype(int)
    assert (drawn.max(axis=2) - drawn.min(axis=2) > 60).sum() > 100  # the grey image has coloured points now
    options = SegmentOptions(pictures=False, cameras=False)
    run(sequence, tmp_path / 'bare', str(bundle), options=options, console=quiet())
    assert not (tmp_path / 'bare' / 'pictures').exists()


def test_truth_at_hand_gives_the_miou(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    for name in ('000000', '000001'):
        truth = expected(sequence, name)
        truth[(truth == BUILDING) & (np.arange(4000) % 2 == 0)] = ROAD | (3 << 16)
        write_label(sequence / 'labels' / f'{name}.label', truth)
    summary = run(sequence, tmp_path / 'out', str(bundle), console=quiet())
    both = [expected(sequence, name) for name in ('000000', '000001')]
    even = sum(int(((raw == BUILDING) & (np.arange(4000) % 2 == 0)).sum()) for raw in both)
    built = sum(int((raw == BUILDING).sum()) for raw in both)
    road = sum(int((raw == ROAD).sum()) for raw in both)
    assert summary['per_class_iou']['building'] == pytest.approx(100 * (built - even) / built, abs=0.01)
    assert summary['per_class_iou']['road'] == pytest.approx(100 * road / (road + even), abs=0.01)
    assert summary['miou'] == pytest.approx(np.mean(list(summary['per_class_iou'].values())), abs=0.02)


def test_truth_of_another_sweep_is_refused(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    write_label(sequence / 'labels' / '000000.label', np.zeros(17, np.uint32))
    with pytest.raises(InputError, match='17 labels for 4000 points'):
        run(sequence, tmp_path / 'out', str(bundle), console=quiet())


def test_missing_model_and_unwritable_output_are_named(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match='nowhere'):
        run(sequence, tmp_path / 'out', str(tmp_path / 'nowhere'), console=quiet())
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(InputError, match='cannot write'):
        run(sequence, tmp_path / 'file', str(bundle), console=quiet())


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (os.environ.get('PYTHONPATH'), str(ROOT))))
    environment = {**os.environ, 'PYTHONPATH': path, 'NO_COLOR': '1', 'COLUMNS': '120'}
    return subprocess.run([sys.executable, '-m', 'training.cli', *map(str, arguments)], capture_output=True, text=True,
                          check=False, env=environment, cwd=ROOT, timeout=120)


def test_the_command_line_labels_and_prints_a_table(sequence: Path, bundle: Path, tmp_path: Path) -> None:
    done = command('segment', sequence, '--model', bundle, '--output', tmp_path / 'out', '--threads', '1')
    assert done.returncode == 0, done.stderr
    assert '2 sweeps, 8,000 points (2 unknown)' in done.stdout and 'building' in done.stdout
    assert len(list((tmp_path / 'out' / 'labels').iterdir())) == 2


def test_the_command_line_ends_errors_in_one_message_and_code_2(tmp_path: Path) -> None:
    done = command('segment', tmp_path / 'nowhere')
    assert done.returncode == 2
    assert done.stderr.strip() == f'error: input {tmp_path / "nowhere"} does not exist'
    assert 'Traceback' not in done.stderr + done.stdout
