"""Readers of SemanticKITTI, nuScenes-lidarseg and your own data, on what the synthetic world writes in both layouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, Frame
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import apply
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI
from sam2amml_core.masks.mask_set import Provenance, make_mask_set
from sam2amml_core.masks.store import write_masks
from training.datasets.check import check
from training.datasets.fractions import chosen
from training.datasets.nuscenes import VALIDATION_SCENES, NuScenesLidarseg
from training.datasets.open import open_split, recognise, share_of
from training.datasets.own import read_dataset_file
from training.datasets.scans import MASKS_PER_SCAN, Scan, ScanSet, read_sweep, to_train
from training.datasets.sequences import SequenceFolders, semantic_kitti
from training.datasets.stored_masks import StoredMasks
from training.world.classes import NUSCENES_RAW, SEMANTIC_KITTI_RAW
from training.world.compensation import compensated, world_points
from training.world.record import record, street_of
from training.world.sensors import SensorRig, hdl32, hdl64, kitti_rig, nuscenes_rig
from training.world.settings import TEST
from training.world.street import Street
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes import NuScenesScene, SceneName
from training.world.writers.nuscenes_tables import merge_scenes
from training.world.writers.semantic_kitti import SemanticKittiSequence

SEED = 2_000_011
SWEEPS = 3
FIRST_PERCENT = [441, 524, 579, 580, 586, 593, 619, 735, 757, 925]
VERSION = 'v1.0-synthetic'
OWN = {
    'name': 'yard', 'splits': {'train': ['drive_a'], 'val': ['drive_b']},
    'classes': [{'name': 'ground', 'color': [255, 0, 255], 'raw': {40: 'road', 60: 'lane-marking', 48: 'sidewalk',
                                                                   44: 'parking', 49: 'other', 72: 'terrain'}},
                {'name': 'thing', 'color': [0, 0, 255], 'raw': {
                    i: name for i, name in SEMANTIC_KITTI.raw_names.items() if i not in (0, 40, 44, 48, 49, 60, 72)}}],
}

Written = tuple[Path, list[SyntheticSweep], SensorRig]


def with_images(sweep: SyntheticSweep, rig: SensorRig) -> SyntheticSweep:
    """The sweep with black images taken in its middle."""
    stamp = sweep.frame.cloud.stamp_ns + round(rig.lidar.period * 5e8)
    views = tuple(CameraView(c, np.zeros((c.height, c.width, 3), np.uint8), stamp) for c in rig.cameras)
    return replace(sweep, frame=Frame(sweep.frame.cloud, views))


def small(rig: SensorRig) -> SensorRig:
    """The same with images of an eighth of the size."""
    scale = np.diag([0.125, 0.125, 1.0])
    return SensorRig(rig.lidar, tuple(replace(c, width=c.width // 8, height=c.height // 8,
                                              projection=scale @ c.projection) for c in rig.cameras))


@pytest.fixture(scope='module')
def street() -> Iterator[Street]:
    """One street for both data sets: building it takes longer than all that is tested on it."""
    only = street_of(SEED, TEST, nuscenes_rig(), 11)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('training.world.record.street_of', lambda *_: only)
        yield only


@pytest.fixture(scope='module')
def kitti(tmp_path_factory: pytest.TempPathFactory, street: Street) -> Written:
    """Sequence 00 for training, 08 for validation, 11 without labels as in the test split."""
    root = tmp_path_factory.mktemp('kitti')
    rig = small(SensorRig(hdl64(128), kitti_rig(1).cameras))
    sweeps = list(record(SEED, TEST, rig.without_cameras(), SWEEPS))
    for name in ('00', '08', '11'):
        writer = SemanticKittiSequence(root / 'dataset' / 'sequences' / name, rig.cameras, rig.lidar.period,
                                       [o.instance for o in street.objects if o.moving])
        for sweep in sweeps:
            writer.write(with_images(sweep, rig))
    shutil.rmtree(root / 'dataset' / 'sequences' / '11' / 'labels')
    return root, sweeps, rig


@pytest.fixture(scope='module')
def nuscenes(tmp_path_factory: pytest.TempPathFactory, street: Street) -> Written:
    root = tmp_path_factory.mktemp('nuscenes')
    rig = small(SensorRig(hdl32(180), nuscenes_rig(6).cameras))
    sweeps = list(record(SEED, TEST, rig.without_cameras(), 11))
    for number in (3, 4):  # scene-0003 is of nuScenes' validation split, scene-0004 is not
        writer = NuScenesScene(root, SceneName(VERSION, f'test{number}', number, SEED), street, rig)
        for i, sweep in enumerate(sweeps):
            writer.write(with_images(sweep, rig) if i % 10 == 0 else sweep)
        writer.finish()
    merge_scenes(root, VERSION)
    return root, sweeps, rig


@pytest.fixture
def own(tmp_path: Path, kitti: Written) -> Path:
    home = kitti[0] / 'dataset' / 'sequences'
    for name, source in (('drive_a', '00'), ('drive_b', '08')):
        shutil.copytree(home / source, tmp_path / name, ignore=shutil.ignore_patterns('image_*'))
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump(OWN))
    return tmp_path


def test_semantic_kitti_gives_the_written_points_classes_and_instances(kitti: Written) -> None:
    root, sweeps, rig = kitti
    data = semantic_kitti(root, '00')
    assert [scan.name for scan in data.scans] == ['00/000000', '00/000001', '00/000002']
    for index, sweep in enumerate(sweeps):
        xyz, _ = compensated(sweep, rig.lidar.period, 0.5)
        np.testing.assert_array_equal(data.cloud(index).xyz, xyz)
        truth = data.truth(index)
        assert truth is not None
        expected = SEMANTIC_KITTI.raw_to_train[SEMANTIC_KITTI_RAW[sweep.point_class].astype(int)]
        np.testing.assert_array_equal(truth.label, expected)  # also of what moves and has raw ids of its own
        np.testing.assert_array_equal(truth.instance, sweep.point_instance)


def test_semantic_kitti_poses_are_turned_from_the_camera_to_the_lidar_frame(kitti: Written) -> None:
    root, sweeps, rig = kitti
    data = semantic_kitti(root, '00')
    T_world_first = compensated(sweeps[0], rig.lidar.period, 0.5)[1]
    np.testing.assert_allclose(data.pose(0), np.eye(4), atol=1e-9)
    assert data.pose(2)[0, 3] > 0.5  # the vehicle drives along x of the LiDAR, which is z of the camera
    points = apply(T_world_first @ data.pose(2), data.cloud(2).xyz.astype(np.float64))
    np.testing.assert_allclose(points, world_points(sweeps[2], rig.lidar.period), atol=1e-3)


def test_splits_are_the_official_ones_and_the_test_split_has_no_labels(kitti: Written) -> None:
    root, _, _ = kitti
    assert {scan.scene for scan in semantic_kitti(root, 'val').scans} == {'08'}
    assert len(semantic_kitti(root, '00,08')) == 2 * SWEEPS
    test = semantic_kitti(root, '11')
    assert test.truth(0) is None and len(test.cloud(0)) > 500
    with pytest.raises(InputError, match='no labels: a test split'):
        read_sweep(test, 0)
    with pytest.raises(InputError, match='lacks sequences 01, 02.*split .train'):
        semantic_kitti(root, 'train')


def test_kitti_cameras_project_points_into_images_of_the_size_on_disk(kitti: Written) -> None:
    root, _, rig = kitti
    data = semantic_kitti(root, '00')
    for images in (True, False):
        (view,) = data.views(1, images)
        assert (view.camera.width, view.camera.height) == (rig.cameras[0].width, rig.cameras[0].height)
        assert view.image.size == (view.camera.width * view.camera.height * 3 if images else 0)
        inside = project(data.cloud(1).xyz, [view.camera]).inside[0]
        assert 0.05 < inside.mean() < 0.3 and data.cloud(1).xyz[inside, 0].min() > 0


def test_nuscenes_gives_points_facing_forward_and_challenge_classes(nuscenes: Written) -> None:
    root, sweeps, rig = nuscenes
    data = NuScenesLidarseg(root, 'all')
    assert [scan.scene for scan in data.scans] == ['scene-0003'] * 2 + ['scene-0004'] * 2
    for index, source in enumerate((0, 10, 0, 10)):
        xyz, _ = compensated(sweeps[source], rig.lidar.period, 1.0)
        np.testing.assert_array_equal(data.cloud(index).xyz, xyz)
        truth = data.truth(index)
        assert truth is not None
        expected = NUSCENES.raw_to_train[NUSCENES_RAW[sweeps[source].point_class].astype(int)]
        np.testing.assert_array_equal(truth.label, expected)
    assert data.cloud(0).intensity.max() <= 1


def test_nuscenes_cameras_carry_the_motion_between_the_stamps(nuscenes: Written) -> None:
    root, sweeps, rig = nuscenes
    data = NuScenesLidarseg(root, 'all')
    views = data.views(1, images=False)
    assert {view.camera.name for view in views} == {camera.name for camera in rig.cameras} and len(views) == 6
    then, _ = compensated(sweeps[10], rig.lidar.period, 0.5)  # as seen from the vehicle when the shutters opened
    now = data.cloud(1).xyz
    moved = np.abs(then - now).max(1) > 0.05
    assert moved.any()
    for view in views:
        original = next(c for c in rig.cameras if c.name == view.camera.name)
        mine, truth = project(now, [view.camera])[0], project(then, [original])[0]
        both, at, there = np.intersect1d(mine.index, truth.index, return_indices=True)
        assert len(both) > 20
        np.testing.assert_allclose(mine.uv[at], truth.uv[there], atol=5e-2)


def test_nuscenes_scenes_follow_the_official_lists_in_official_tables(nuscenes: Written, tmp_path: Path) -> None:
    assert len(VALIDATION_SCENES) == 150
    root, _, _ = nuscenes
    for name in ('samples', 'lidarseg'):
        (tmp_path / name).symlink_to(root / name)
    shutil.copytree(root / VERSION, tmp_path / 'v1.0-trainval')
    splits = {split: {scan.scene for scan in NuScenesLidarseg(tmp_path, split).scans} for split in ('train', 'val')}
    assert splits == {'train': {'scene-0004'}, 'val': {'scene-0003'}}
    assert {scan.scene for scan in NuScenesLidarseg(tmp_path, 'scene-0004').scans} == {'scene-0004'}
    with pytest.raises(InputError, match='no test split; give those of v1.0-test'):
        NuScenesLidarseg(tmp_path, 'test')
    with pytest.raises(InputError, match='no scene scene-0999'):
        NuScenesLidarseg(tmp_path, 'scene-0999')


def test_a_category_table_with_the_numbers_of_the_instructions_page_is_refused(nuscenes: Written, tmp_path: Path
                                                                               ) -> None:
    root, _, _ = nuscenes
    shutil.copytree(root / VERSION, tmp_path / VERSION)
    path = tmp_path / VERSION / 'category.json'
    records = json.loads(path.read_text())
    for record_ in records:  # that page calls 25 the sidewalk
        record_['index'] = {'flat.sidewalk': 25, 'flat.other': 26}.get(record_['name'], record_['index'])
    path.write_text(json.dumps(records))
    with pytest.raises(InputError, match='category table.*25 is .flat.sidewalk. there'):
        NuScenesLidarseg(tmp_path, 'all')


def test_colours_are_rgb_not_the_bgr_of_the_official_file() -> None:
    assert SEMANTIC_KITTI.colors[SEMANTIC_KITTI.names.index('car')].tolist() == [100, 150, 245]
    assert SEMANTIC_KITTI.colors[SEMANTIC_KITTI.names.index('building')].tolist() == [255, 200, 0]


def test_raw_ids_outside_the_map_are_named_and_train_ids_do_not_pass(tmp_path: Path, kitti: Written) -> None:
    with pytest.raises(InputError, match=r'sweep\.label.*raw ids 7, 300 .*train ids already'):
        to_train(SEMANTIC_KITTI, np.array([10, 7, 300, 7]), 'sweep.label')
    assert to_train(SEMANTIC_KITTI, np.array([252, 60, 99]), '').tolist() == [1, 9, 0]


def damaged(own: Path, change: Callable[[Path, Path], Any]) -> ScanSet:
    change(own / 'drive_a' / 'velodyne' / '000001.bin', own / 'drive_a' / 'labels' / '000001.label')
    return open_split(own, 'train')


@pytest.mark.parametrize(('change', 'words'), [
    (lambda cloud, label: cloud.write_bytes(cloud.read_bytes()[:-16]), r'000001\.label has .* labels for a cloud of'),
    (lambda cloud, label: cloud.write_bytes(cloud.read_bytes()[:-5]), r'000001\.bin has .*truncated'),
    (lambda cloud, label: label.write_bytes(label.read_bytes()[:-1]), r'000001\.label .*truncated'),
    (lambda cloud, label: label.write_bytes(b'\x07\0\0\0' * (cloud.stat().st_size // 16)), r'000001\.label.*raw ids 7'),
    (lambda cloud, label: cloud.write_bytes(b''), r'000001\.bin is empty'),
])
def test_damage_is_named_by_file_and_found_by_the_check(own: Path, change: Callable[[Path, Path], Any], words: str
                                                        ) -> None:
    data = damaged(own, change)
    read_sweep(data, 0)
    with pytest.raises(InputError, match=words):
        read_sweep(data, 1)
    *_, report = check(data, 'train')
    assert report.looked_at == SWEEPS and len(report.faults) == 1 and '000001' in report.faults[0]


def test_a_sequence_with_some_labels_only_is_refused(own: Path) -> None:
    (own / 'drive_a' / 'labels' / '000002.label').unlink()
    with pytest.raises(InputError, match=r'lacks 1 of 3 labels, such as 000002\.label'):
        open_split(own, 'train')


def test_your_own_data_set_has_your_classes(own: Path, kitti: Written) -> None:
    data = open_split(own, 'val')
    assert data.schema.names == ('unlabeled', 'ground', 'thing') and len(data) == SWEEPS
    sweep = read_sweep(data, 0)
    reference = read_sweep(semantic_kitti(kitti[0], '08'), 0)
    ground = np.isin(reference.label, [SEMANTIC_KITTI.names.index(n) for n in (
        'road', 'sidewalk', 'parking', 'other-ground', 'terrain')])
    np.testing.assert_array_equal(sweep.label == 1, ground)
    assert data.schema.train_to_raw.tolist()[:2] == [0, 40]
    assert recognise(own, 'val') == 'own' and len(open_split(own, 'all')) == 2 * SWEEPS
    *_, report = check(data, 'val')
    assert not report.faults and report.counts.sum() == report.points
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        open_split(own, 'test')


def edited(**changes: Any) -> dict[str, Any]:
    return {**OWN, **changes}


@pytest.mark.parametrize(('content', 'words'), [
    (edited(splits={'train': ['a'], 'val': ['a', 'b']}), r"sequences \['a'\] are in two splits"),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 0], 'raw': {1: 'x'}}, {'name': 'b', 'color': [0, 0, 0], 'raw': {
        1: 'x'}}]), r'raw ids \[1\] belong to two classes'),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 300], 'raw': {1: 'x'}}]), 'classes.0.*red, green, blue in 0..255'),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 0], 'raw': {70000: 'x'}}]), 'do not fit 16 bits'),
    (edited(classes=[{'name': 'unlabeled', 'color': [0, 0, 0], 'raw': {1: 'x'}}]), 'given twice or reserved'),
    (edited(clouds='pcd'), "clouds: Input should be 'kitti' or 'nuscenes'"),
    (edited(splitz={}), 'splitz: Extra inputs are not permitted'),
    ('text', 'docs/your_own_dataset.md'),
    (edited(splits={'train': []}), 'name no sequence'),
])
def test_the_schema_check_explains_itself(tmp_path: Path, content: Any, words: str) -> None:
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=words):
        read_dataset_file(tmp_path)


def test_masks_of_two_scans_never_share_an_id_and_must_fit_the_cloud(own: Path) -> None:
    data = open_split(own, 'train')

    def masks(scans: ScanSet, index: int) -> np.ndarray:
        return (np.arange(scans.points(index)) % 3).astype(np.uint16)

    first, third = read_sweep(data, 0, masks), read_sweep(data, 2, masks)
    assert set(np.unique(first.mask_id)) == {0, 1, 2}
    assert set(np.unique(third.mask_id)) == {0, 2 * MASKS_PER_SCAN + 1, 2 * MASKS_PER_SCAN + 2}
    with pytest.raises(InputError, match='masks of scan drive_a/000001 are for 5 points'):
        read_sweep(data, 1, lambda *_: np.zeros(5, np.uint16))


@pytest.mark.parametrize('layout', ['kitti', 'nuscenes'])
def test_stored_masks_reach_the_points_that_fall_into_them(layout: str, request: pytest.FixtureRequest, tmp_path: Path
                                                           ) -> None:
    root = request.getfixturevalue(layout)[0]
    data: ScanSet = semantic_kitti(root, '00') if layout == 'kitti' else NuScenesLidarseg(root, 'scene-0003')
    home = tmp_path / '00' if layout == 'kitti' else tmp_path  # one folder for each sequence, or one for all
    cameras = [view.camera for view in data.views(1, images=False)]
    for camera in cameras:
        id_map = np.ones((camera.height, camera.width), np.uint16)
        id_map[:, camera.width // 2:] = 2
        (home / camera.name).mkdir(parents=True)
        made = make_mask_set(id_map, Provenance('test'))
        write_masks(home / camera.name / f'{data.scans[1].stem}.masks', made)
    sweep = read_sweep(data, 1, StoredMasks(tmp_path))
    inside = project(sweep.xyz, cameras).inside
    assert (sweep.mask_id[~inside.any(0)] == 0).all() and (sweep.mask_id > 0).mean() > 0.05
    ids = np.unique(sweep.mask_id[sweep.mask_id > 0]) - MASKS_PER_SCAN
    assert set(ids) <= set(range(1, 2 * len(cameras) + 1)) and len(ids) >= 2
    first = project(sweep.xyz, cameras)[0]
    left = first.index[(first.uv[:, 0] < cameras[0].width / 2 - 1)]
    assert MASKS_PER_SCAN + 1 in sweep.mask_id[left] and MASKS_PER_SCAN + 2 not in sweep.mask_id[left]
    with pytest.raises(InputError, match='holds no masks of scan'):
        read_sweep(data, 0, StoredMasks(tmp_path))
    with pytest.raises(InputError, match='write it with sam2amml masks'):
        StoredMasks(tmp_path / 'none')


@pytest.mark.parametrize('scenes', [10, 250])
def test_fractions_are_fixed_nested_and_of_the_right_size(scenes: int) -> None:
    scans = [Scan(f'{s:03d}/{i}', f'{s:03d}') for s in range(scenes) for i in range(40)]
    parts = [chosen(scans, f) for f in (0.01, 0.05, 0.1, 0.25, 1.0)]
    for smaller, larger in zip(parts, parts[1:], strict=False):
        assert set(smaller) < set(larger) and smaller == sorted(smaller)
    assert [len(p) / len(scans) for p in parts] == pytest.approx([0.01, 0.05, 0.1, 0.25, 1], abs=0.01)
    if scenes == 250:  # whole scenes, and always these
        assert len({scans[i].scene for i in parts[0]}) == 3 and len(parts[0]) == 120
    assert chosen(scans[::-1], 0.01) == sorted(len(scans) - 1 - i for i in parts[0])
    with pytest.raises(InputError, match=r'fraction 0 must be above 0'):
        chosen(scans, 0)


def test_one_percent_of_semantic_kitti_is_always_the_same_scans() -> None:
    scans = [Scan(f'00/{i:06d}', '00') for i in range(1000)]
    assert chosen(scans, 0.01) == FIRST_PERCENT



def test_a_share_of_a_set_is_a_set(kitti: Written) -> None:
    whole = semantic_kitti(kitti[0], '00,08')
    part = share_of(whole, 0.5)
    assert len(part) == 3 and part.schema is SEMANTIC_KITTI and share_of(whole, 1) is whole
    position = [scan.name for scan in whole.scans].index(part.scans[1].name)
    np.testing.assert_array_equal(part.cloud(1).xyz, whole.cloud(position).xyz)
    assert len(part.views(1, images=False)) == 1


def test_what_is_no_data_set_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='looked for dataset.yaml, sequences'):
        open_split(tmp_path, 'train')
    with pytest.raises(InputError, match='is not there'):
        open_split(tmp_path / 'none', 'train')
    with pytest.raises(InputError, match='holds no sweep'):
        SequenceFolders([tmp_path], SEMANTIC_KITTI)


def test_the_command_prints_shares_and_fails_on_faults(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training.commands.dataset import run

    train, val = run(own, ('train', 'val'), 'auto', None)
    text = capsys.readouterr().out
    assert 'ground' in text and '3 scans in 1 scenes' in text and train.points == val.points
    (own / 'drive_b' / 'velodyne' / '000000.bin').write_bytes(b'1234567')
    with pytest.raises(InputError, match='1 of 6 scans cannot be used'):
        run(own, ('train', 'val'), 'auto', None)
    with pytest.raises(InputError, match="no layout 'waymo'"):
        run(own, ('train',), 'waymo', None)
