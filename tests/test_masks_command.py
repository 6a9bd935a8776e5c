"""Masks of whole recordings: shares, processes, Ray, and runs that are killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mask_scene import HEIGHT, TRAIN_ID, WIDTH, make_camera, make_scene

from sam2amml_core.errors import InputError
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.masks.makers import MakerSpec
from sam2amml_core.masks.store import read_masks
from training.masks.precompute import MaskJob, mask_path, run_jobs, work

pytest.importorskip('scipy', reason='the extra [masks] is not installed')

SWEEPS = 6


@pytest.fixture(scope='module')
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SemanticKITTI sequence of the small scene."""
    root = tmp_path_factory.mktemp('sequence')
    for name in ('velodyne', 'image_2', 'labels'):
        (root / name).mkdir()
    camera = make_camera()
    matrix = ' '.join(f'{value:.9g}' for value in camera.projection.ravel())
    move = ' '.join(f'{value:.9g}' for value in camera.T_camera_lidar[:3].ravel())
    (root / 'calib.txt').write_text(''.join(f'P{i}: {matrix}\n' for i in range(4)) + f'Tr: {move}\n')
    for number in range(SWEEPS):
        view, cloud, part = make_scene(number)
        np.hstack((cloud.xyz, cloud.intensity[:, None])).astype('<f4').tofile(root / 'velodyne' / f'{number:06d}.bin')
        SEMANTIC_KITTI.train_to_raw[TRAIN_ID[part]].astype('<u4').tofile(root / 'labels' / f'{number:06d}.label')
        cv2.imwrite(str(root / 'image_2' / f'{number:06d}.png'), view.image[..., ::-1])
    return root


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def job(recording: Path, folder: Path, generator: str = 'outlines', classes: str = 'given') -> MaskJob:
    return MaskJob(str(recording), str(folder), MakerSpec(generator, classes))


@pytest.fixture(scope='module')
def whole(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp('whole')
    assert work(job(recording, folder)) == (SWEEPS, 0)
    return contents(folder)


def test_files_hold_masks_of_their_images(recording: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert len(whole) == SWEEPS
    view, _, _ = make_scene(2)
    name = next(name for name in whole if name.endswith('000002.masks'))
    path = tmp_path / 'one.masks'
    path.write_bytes(whole[name])
    masks = read_masks(path, view.image)
    assert masks.id_map.shape == (HEIGHT, WIDTH) and len(masks) >= 4
    with pytest.raises(InputError, match='another image'):
        read_masks(path, make_scene(3)[0].image)


def test_shares_and_processes_make_the_same_files(recording: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    for share in job(recording, tmp_path / 'a').split(4):
        work(share)
    assert contents(tmp_path / 'a') == whole
    assert sum(made for made, _ in run_jobs(job(recording, tmp_path / 'b').split(2))) == SWEEPS
    assert contents(tmp_path / 'b') == whole


def test_a_second_run_keeps_good_files_and_repairs_others(recording: Path, tmp_path: Path, whole: dict[str, bytes]
                                                          ) -> None:
    work(job(recording, tmp_path))
    paths = sorted(path for path in tmp_path.rglob('*.masks'))
    paths[0].write_bytes(paths[0].read_bytes()[:-3])
    paths[1].write_bytes(paths[2].read_bytes())
    paths[3].unlink()
    assert work(job(recording, tmp_path)) == (3, SWEEPS - 3)
    assert contents(tmp_path) == whole
    assert work(job(recording, tmp_path, classes='none')) == (SWEEPS, 0)


def test_a_run_that_is_killed_ends_with_the_same_bytes(recording: Path, tmp_path: Path, whole: dict[str, bytes]
                                                       ) -> None:
    command = [sys.executable, '-m', 'training.cli', 'masks', str(recording), str(tmp_path / 'out'),
               '--generator', 'outlines', '--classes', 'given']
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parent.parent)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and not list((tmp_path / 'out').rglob('*.masks')):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list((tmp_path / 'out').rglob('*.masks')))
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert before >= 1
    kept = {name: data for name, data in contents(tmp_path / 'out').items() if name.endswith('.masks')}
    assert kept == whole


def test_ray_makes_the_same_files(recording: Path, tmp_path: Path, whole: dict[str, bytes],
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('ray', reason='the extra [scale] is not installed')
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, (root, os.environ.get('PYTHONPATH')))))
    monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
    results = list(run_jobs(job(recording, tmp_path).split(2), 'local'))
    assert len(results) == 2 and sum(made for made, _ in results) == SWEEPS
    assert contents(tmp_path) == whole


def test_what_cannot_be_done_is_named(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'seem' is unknown"):
        work(MaskJob(str(recording), str(tmp_path), MakerSpec('seem')))
    with pytest.raises(InputError, match='shard 3 of 2'):
        work(MaskJob(str(recording), str(tmp_path), MakerSpec('slic'), 3, 2))
    with pytest.raises(InputError, match="'colour' is unknown"):
        MakerSpec(without=('colour',)).make('semantic_kitti')
    bare = tmp_path / 'bare'
    for name in ('velodyne', 'image_2'):
        (bare / name).mkdir(parents=True)
        for path in sorted((recording / name).iterdir())[:1]:
            (bare / name / path.name).write_bytes(path.read_bytes())
    (bare / 'calib.txt').write_bytes((recording / 'calib.txt').read_bytes())
    with pytest.raises(InputError, match='has no labels for sweep 000000'):
        work(job(bare, tmp_path / 'out'))
    assert mask_path(tmp_path, 'image_2', '000000').name == '000000.masks'


def test_a_split_of_a_data_set_gets_the_masks_of_its_sequences(recording: Path, whole: dict[str, bytes],
                                                               tmp_path: Path) -> None:
    root, folder = tmp_path / 'data', tmp_path / 'masks'
    (root / 'sequences').mkdir(parents=True)
    for name in ('08', '09'):
        (root / 'sequences' / name).symlink_to(recording)
    assert work(replace(job(root, folder), part='08')) == (SWEEPS, 0)
    made = contents(folder)
    assert sorted(made) == [f'08/image_2/{number:06d}.masks' for number in range(SWEEPS)]
    for name, content in whole.items():
        np.testing.assert_array_equal(read_masks(folder / '08' / name).id_map,
                                      read_masks(_written(tmp_path, content)).id_map)
    with pytest.raises(InputError, match='lacks sequences 11'):
        work(replace(job(root, folder), part='11'))


def _written(folder: Path, content: bytes) -> Path:
    path = folder / 'expected.masks'
    path.write_bytes(content)
    return path


def test_switches_change_the_provenance() -> None:
    plain = MakerSpec('outlines').make('semantic_kitti')
    view, cloud, _ = make_scene()
    for name in ('elimination', 'merge', 'tiling', 'surface_cut', 'areas'):
        other = MakerSpec('outlines', without=(name,)).make('semantic_kitti')
        assert other.provenance(view, cloud) != plain.provenance(view, cloud)
