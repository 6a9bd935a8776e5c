"""Readers of SemanticKITTI and nuScenes-lidarseg, on what the synthetic world writes in both layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from world_data import SWEEPS, VERSION, Written

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import apply
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI
from sam2amml_core.masks.mask_set import MaskSet, Provenance, make_mask_set
from sam2amml_core.masks.store import read_masks, write_masks
from training.datasets.fractions import chosen
from training.datasets.nuscenes import VALIDATION_SCENES, NuScenesLidarseg
from training.datasets.open import share_of
from training.datasets.scans import MASKS_PER_SCAN, Scan, ScanSet, read_sweep
from training.datasets.sequences import semantic_kitti
from training.datasets.stored_masks import StoredMasks
from training.world.classes import NUSCENES_RAW, SEMANTIC_KITTI_RAW
from training.world.compensation import compensated, world_points

FIRST_PERCENT = [441, 524, 579, 580, 586, 593, 619, 735, 757, 925]


def test_semantic_kitti_gives_the_written_points_classes_and_instances(kitti_data: Written) -> None:
    root, sweeps, rig = kitti_data
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


def test_semantic_kitti_poses_are_turned_from_the_camera_to_the_lidar_frame(kitti_data: Written) -> None:
    root, sweeps, rig = kitti_data
    data = semantic_kitti(root, '00')
    T_world_first = compensated(sweeps[0], rig.lidar.period, 0.5)[1]
    np.testing.assert_allclose(data.pose(0), np.eye(4), atol=1e-9)
    assert data.pose(2)[0, 3] > 0.5  # the vehicle drives along x of the LiDAR, which is z of the camera
    points = apply(T_world_first @ data.pose(2), data.cloud(2).xyz.astype(np.float64))
    np.testing.assert_allclose(points, world_points(sweeps[2], rig.lidar.period), atol=1e-3)


def test_splits_are_the_official_ones_and_the_test_split_has_no_labels(kitti_data: Written) -> None:
    root, _, _ = kitti_data
    assert {scan.scene for scan in semantic_kitti(root, 'val').scans} == {'08'}
    assert len(semantic_kitti(root, '00,08')) == 2 * SWEEPS
    test = semantic_kitti(root, '11')
    assert test.truth(0) is None and len(test.cloud(0)) > 500
    with pytest.raises(InputError, match='no labels: a test split'):
        read_sweep(test, 0)
    with pytest.raises(InputError, match='lacks sequences 01, 02.*split .train'):
        semantic_kitti(root, 'train')


def test_kitti_cameras_project_points_into_images_of_the_size_on_disk(kitti_data: Written) -> None:
    root, _, rig = kitti_data
    data = semantic_kitti(root, '00')
    for images in (True, False):
        (view,) = data.views(1, images)
        assert (view.camera.width, view.camera.height) == (rig.cameras[0].width, rig.cameras[0].height)
        assert view.image.size == (view.camera.width * view.camera.height * 3 if images else 0)
        inside = project(data.cloud(1).xyz, [view.camera]).inside[0]
        assert 0.05 < inside.mean() < 0.3 and data.cloud(1).xyz[inside, 0].min() > 0


def test_nuscenes_gives_points_facing_forward_and_challenge_classes(nuscenes_data: Written) -> None:
    root, sweeps, rig = nuscenes_data
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


def test_nuscenes_cameras_carry_the_motion_between_the_stamps(nuscenes_data: Written) -> None:
    root, sweeps, rig = nuscenes_data
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


def test_nuscenes_scenes_follow_the_official_lists_in_official_tables(nuscenes_data: Written, tmp_path: Path) -> None:
    assert len(VALIDATION_SCENES) == 150
    root, _, _ = nuscenes_data
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


def test_a_category_table_with_the_numbers_of_the_instructions_page_is_refused(nuscenes_data: Written, tmp_path: Path
                                                                               ) -> None:
    root, _, _ = nuscenes_data
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


@pytest.mark.parametrize('layout', ['kitti', 'nuscenes'])
def test_stored_masks_reach_the_points_that_fall_into_them(layout: str, request: pytest.FixtureRequest, tmp_path: Path
                                                           ) -> None:
    root = request.getfixturevalue(f'{layout}_data')[0]
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
    donor = (np.arange(len(data)) + max(1, len(data) // 2)) % len(data)
    lucky = int(np.flatnonzero(donor == 1)[0])
    assert (read_sweep(data, lucky, StoredMasks(tmp_path, shuffled=True)).mask_id > 0).mean() > 0.05
    with pytest.raises(InputError, match='holds no masks of scan'):
        read_sweep(data, 1, StoredMasks(tmp_path, shuffled=True))
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



def test_a_share_of_a_set_is_a_set(kitti_data: Written) -> None:
    whole = semantic_kitti(kitti_data[0], '00,08')
    part = share_of(whole, 0.5)
    assert len(part) == 3 and part.schema is SEMANTIC_KITTI and share_of(whole, 1) is whole
    position = [scan.name for scan in whole.scans].index(part.scans[1].name)
    np.testing.assert_array_equal(part.cloud(1).xyz, whole.cloud(position).xyz)
    assert len(part.views(1, images=False)) == 1


def test_lifted_masks_are_kept_for_so_many_points(kitti_data: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                  ) -> None:
    data = semantic_kitti(kitti_data[0], '00')
    for number, scan in enumerate(data.scans):
        view = data.views(number)[0]
        ids = np.ones((view.camera.height, view.camera.width), np.uint16)
        path = tmp_path / scan.scene / view.camera.name / f'{scan.stem}.masks'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_masks(path, make_mask_set(ids, Provenance('test')))
    read: list[Path] = []

    def counted(path: Path) -> MaskSet:
        read.append(path)
        return read_masks(path)

    monkeypatch.setattr('training.datasets.stored_masks.read_masks', counted)
    monkeypatch.setattr('training.datasets.stored_masks.CACHED_POINTS', int(1.5 * data.points(0)))
    store = StoredMasks(tmp_path)
    first = store(data, 0)
    assert store(data, 0) is first and len(read) == 1 and first.max() == 1
    assert np.array_equal(store(data, 1), StoredMasks(tmp_path)(data, 1)) and len(read) == 3
    assert np.array_equal(store(data, 0), first) and len(read) == 4  # the other one had taken its place
