"""The synthetic world in the layouts of SemanticKITTI and nuScenes, read back by the readers of the real data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [dev])')

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame
from sam2amml_core.geometry.kitti import read_kitti_calib
from sam2amml_core.geometry.nuscenes import NuScenesTables
from sam2amml_core.geometry.transforms import apply, invert
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.labels import read_label
from sam2amml_core.labels import NUSCENES
from training.world.classes import NUSCENES_RAW, SEMANTIC_KITTI_RAW
from training.world.compensation import compensated, world_points
from training.world.record import START_NS, record, street_of
from training.world.sensors import SensorRig, hdl32, hdl64, kitti_rig, nuscenes_rig
from training.world.settings import TEST
from training.world.street import Street
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes import NuScenesScene, SceneName
from training.world.writers.nuscenes_tables import SCENE_TABLES, constant_tables, merge_scenes, scene_made_of
from training.world.writers.semantic_kitti import MOVING_RAW, SemanticKittiSequence

Written = tuple[Path, list[SyntheticSweep], SensorRig, Street]

SEED = 2_000_003
SWEEPS = 12
VERSION = 'v1.0-synthetic'


def with_images(sweep: SyntheticSweep, cameras: tuple[Camera, ...], period: float) -> SyntheticSweep:
    """The sweep with noise for images, small, as if its cameras had taken them in its middle."""
    random = np.random.default_rng(len(sweep.frame.cloud))
    stamp = sweep.frame.cloud.stamp_ns + round(period * 5e8)
    views = [CameraView(c, random.integers(0, 256, (c.height, c.width, 3), np.uint8), stamp) for c in cameras]
    return replace(sweep, frame=Frame(sweep.frame.cloud, tuple(views)))


def small(camera: Camera) -> Camera:
    """An eighth of the size in pixels."""
    scale = np.diag([0.125, 0.125, 1.0])
    return replace(camera, width=camera.width // 8, height=camera.height // 8, projection=scale @ camera.projection)


def pixels(camera: Camera, xyz: np.ndarray) -> np.ndarray:
    """Pixel coordinates [N, 2], NaN for points less than a metre in front or far outside the image."""
    homogeneous = np.c_[xyz.astype(np.float64), np.ones(len(xyz))] @ (camera.projection @ camera.T_camera_lidar).T
    with np.errstate(divide='ignore'):
        result = homogeneous[:, :2] / homogeneous[:, 2:]
    result[(homogeneous[:, 2] < 1) | (np.abs(result) > 1000).any(1)] = np.nan
    assert np.isfinite(result).mean() > 0.05
    return result


@pytest.fixture(scope='module')
def kitti(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp('kitti') / 'sequences' / '03'
    rig = SensorRig(hdl64(256), tuple(small(c) for c in kitti_rig(2).cameras))
    street = street_of(SEED, TEST, rig, SWEEPS)
    sweeps = [with_images(s, rig.cameras, 0.1) for s in record(SEED, TEST, rig.without_cameras(), SWEEPS)]
    writer = SemanticKittiSequence(folder, rig.cameras, 0.1, [o.instance for o in street.objects if o.moving])
    for sweep in sweeps:
        writer.write(sweep)
    return folder, sweeps, rig, street


@pytest.fixture(scope='module')
def nuscenes(tmp_path_factory: pytest.TempPathFactory) -> Written:
    root = tmp_path_factory.mktemp('nuscenes')
    rig = SensorRig(hdl32(360), tuple(small(c) for c in nuscenes_rig(3).cameras))
    street = street_of(SEED, TEST, rig, SWEEPS)
    sweeps = list(record(SEED, TEST, rig.without_cameras(), SWEEPS))
    for number in (0, 1):  # the same street twice, under two names
        writer = NuScenesScene(root, SceneName(VERSION, f'test{number}', number, SEED), street, rig, {'made': number})
        for i, sweep in enumerate(sweeps):
            writer.write(with_images(sweep, rig.cameras, 0.05) if i % 5 == 0 else sweep)
        writer.finish()
    assert merge_scenes(root, VERSION) == 2
    return root, sweeps, rig, street


def test_kitti_sweeps_come_back_compensated_to_the_moment_of_the_images(kitti: Written) -> None:
    folder, sweeps, _, _ = kitti
    source = open_input(folder)
    assert source.kind == 'KITTI recording' and len(source) == SWEEPS
    for (name, frame), sweep in zip(source, sweeps, strict=True):
        xyz, _ = compensated(sweep, 0.1, 0.5)
        np.testing.assert_array_equal(frame.cloud.xyz, xyz)
        np.testing.assert_array_equal(frame.cloud.intensity, sweep.frame.cloud.intensity)
        assert frame.cloud.stamp_ns == sweep.frame.cloud.stamp_ns - START_NS
        assert name == f'{frame.cloud.stamp_ns // 100_000_000:06d}'
        for mine, theirs in zip(frame.views, sweep.frame.views, strict=True):
            np.testing.assert_array_equal(mine.image, theirs.image)
    assert np.abs(xyz - sweep.frame.cloud.xyz).max() > 0.1  # the vehicle moved


def test_kitti_labels_hold_class_and_instance_and_who_moves(kitti: Written) -> None:
    folder, sweeps, _, street = kitti
    moving = [o.instance for o in street.objects if o.moving]
    seen_moving = 0
    for i, sweep in enumerate(sweeps):
        raw = read_label(folder / 'labels' / f'{i:06d}.label', len(sweep.frame.cloud))
        np.testing.assert_array_equal(raw >> 16, sweep.point_instance)
        moves = np.isin(sweep.point_instance, moving)
        np.testing.assert_array_equal(raw[~moves] & 0xFFFF, SEMANTIC_KITTI_RAW[sweep.point_class[~moves]])
        standing = {new: old for old, new in MOVING_RAW.items()}
        back = np.array([standing[int(r)] for r in raw[moves] & 0xFFFF], np.uint32)
        np.testing.assert_array_equal(back, SEMANTIC_KITTI_RAW[sweep.point_class[moves]])
        seen_moving += int(moves.sum())
    assert seen_moving > 20
    source = open_input(folder, images=False)
    truth = source.truth('000000')
    assert truth is not None and truth.max() < 300


def test_kitti_calibration_projects_as_the_cameras_it_was_written_from(kitti: Written) -> None:
    folder, sweeps, rig, _ = kitti
    frame = dict(open_input(folder))['000000']
    for view, camera in zip(frame.views, rig.cameras, strict=True):
        assert (view.camera.name, view.camera.width, view.camera.height) == (camera.name, camera.width, camera.height)
        np.testing.assert_allclose(pixels(view.camera, frame.cloud.xyz), pixels(camera, frame.cloud.xyz), atol=1e-6)
    calibration = read_kitti_calib(folder / 'calib.txt')
    assert sorted(calibration.projections) == [0, 1, 2, 3]
    focal = calibration.projections[0][0, 0]
    np.testing.assert_allclose([calibration.projections[i][0, 3] / focal for i in range(4)], [0, -0.54, 0.06, -0.48])


def test_kitti_poses_are_of_camera_0_and_register_the_static_world(kitti: Written) -> None:
    folder, sweeps, _, street = kitti
    Tr = read_kitti_calib(folder / 'calib.txt').T_cam0_lidar
    poses = np.loadtxt(folder / 'poses.txt').reshape(-1, 3, 4)
    assert len(poses) == SWEEPS
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-9)
    assert poses[-1, 2, 3] > 2  # forwards is z of the camera
    T_world_first = compensated(sweeps[0], 0.1, 0.5)[1]
    for i in (0, SWEEPS - 1):
        xyz = np.fromfile(folder / 'velodyne' / f'{i:06d}.bin', '<f4').reshape(-1, 4)[:, :3].astype(np.float64)
        T = T_world_first @ invert(Tr) @ np.vstack([poses[i], [0, 0, 0, 1]]) @ Tr
        np.testing.assert_allclose(apply(T, xyz), world_points(sweeps[i], 0.1), atol=1e-3)
        solid = np.isin(SEMANTIC_KITTI_RAW[sweeps[i].point_class], (40, 48, 50))
        assert np.median(off_the_mesh(street, T, xyz[solid])) < 0.03
        T[:3, 3] += T[:3, 1] * 0.5
        assert np.median(off_the_mesh(street, T, xyz[solid])) > 0.05  # the measure notices misalignment


def off_the_mesh(street: Street, T_world_lidar: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """How far, metres [K], points lie in front of or behind the surface in their direction, seen from 5 m away."""
    world = apply(T_world_lidar, xyz)
    to = world - T_world_lidar[:3, 3]
    distance = np.linalg.norm(to, axis=1)
    far = distance > 7
    direction = (to[far] / distance[far, None]).astype(np.float32)
    start = (world[far] - 5 * direction).astype(np.float32)
    hits = street.scene.cast(np.ascontiguousarray(start), direction, 0.0)
    return np.abs(hits.distance - 5)


def test_kitti_sequence_can_be_written_again_and_refuses_other_rigs(tmp_path: Path, kitti: Written) -> None:
    _, sweeps, rig, _ = kitti
    for count in (3, 2):
        writer = SemanticKittiSequence(tmp_path / '00', rig.cameras[:1], 0.1)
        for sweep in sweeps[:count]:
            writer.write(replace(sweep, frame=Frame(sweep.frame.cloud)))
    assert len(list((tmp_path / '00' / 'velodyne').iterdir())) == 2
    assert len((tmp_path / '00' / 'times.txt').read_text().split()) == 2
    with pytest.raises(InputError, match='turned against'):
        SemanticKittiSequence(tmp_path / '01', nuscenes_rig(2).cameras, 0.1)
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='choose another output folder'):
        SemanticKittiSequence(tmp_path / 'file' / '00', rig.cameras, 0.1)


def test_nuscenes_key_frames_come_back_with_labels(nuscenes: Written) -> None:
    root, sweeps, _, _ = nuscenes
    source = open_input(root)
    assert source.kind == 'nuScenes tables' and len(source) == 4
    for (name, frame), index in zip(source, (0, 10, 0, 10), strict=True):
        xyz, _ = compensated(sweeps[index], 0.05, 1.0)
        cloud = sweeps[index].frame.cloud
        np.testing.assert_array_equal(frame.cloud.xyz, xyz)  # turned to x right and back
        np.testing.assert_allclose(frame.cloud.intensity, cloud.intensity, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(frame.cloud.ring, cloud.ring)
        np.testing.assert_array_equal(source.truth(name), NUSCENES_RAW[sweeps[index].point_class])


def test_nuscenes_clouds_look_along_y(nuscenes: Written) -> None:
    root, sweeps, _, _ = nuscenes
    file = sorted((root / 'samples' / 'LIDAR_TOP').iterdir())[0]
    values = np.fromfile(file, '<f4').reshape(-1, 5)
    xyz, _ = compensated(sweeps[0], 0.05, 1.0)
    np.testing.assert_array_equal(values[:, 1], xyz[:, 0])
    np.testing.assert_array_equal(values[:, 0], -xyz[:, 1])
    assert values[:, 3].max() > 10 and (values[:, 3] == np.floor(values[:, 3])).all()
    assert len(list((root / 'samples' / 'LIDAR_TOP').iterdir())) == 4
    assert len(list((root / 'sweeps' / 'LIDAR_TOP').iterdir())) == 2 * (SWEEPS - 2)
    assert len(list((root / 'sweeps' / 'CAM_FRONT').iterdir())) == 2


def test_nuscenes_cameras_project_as_the_originals_at_their_own_time(nuscenes: Written) -> None:
    root, sweeps, rig, _ = nuscenes
    _, frame = next(iter(open_input(root)))
    assert sorted(v.camera.name for v in frame.views) == sorted(c.name for c in rig.cameras)
    then, _ = compensated(sweeps[0], 0.05, 0.5)  # where the points lay seen from the vehicle as the shutters opened
    for view in frame.views:
        camera = next(c for c in rig.cameras if c.name == view.camera.name)
        np.testing.assert_allclose(pixels(view.camera, frame.cloud.xyz), pixels(camera, then), atol=2e-3)
        assert frame.cloud.stamp_ns - view.stamp_ns == 25_000_000
    assert np.abs(then - frame.cloud.xyz).max() > 0.1


def test_nuscenes_tables_refer_to_each_other_and_to_files(nuscenes: Written) -> None:
    root, _, _, _ = nuscenes
    names = [path.stem for path in (root / VERSION).glob('*.json')]
    assert set(names) == {*constant_tables(), *SCENE_TABLES} and len(names) == 14
    tables = {name: json.loads((root / VERSION / f'{name}.json').read_text()) for name in names}
    tokens = {name: {r['token'] for r in records} for name, records in tables.items()}
    for name, records in tables.items():
        assert len(tokens[name]) == len(records), name
    foreign = {'scene_token': 'scene', 'sample_token': 'sample', 'ego_pose_token': 'ego_pose', 'log_token': 'log',
               'calibrated_sensor_token': 'calibrated_sensor', 'sensor_token': 'sensor', 'category_token': 'category',
               'visibility_token': 'visibility', 'instance_token': 'instance', 'sample_data_token': 'sample_data',
               'first_sample_token': 'sample', 'last_sample_token': 'sample',
               'first_annotation_token': 'sample_annotation', 'last_annotation_token': 'sample_annotation'}
    checked = set()
    for name, records in tables.items():
        for row in records:
            for key, other in foreign.items():
                if key in row:
                    assert row[key] in tokens[other], (name, key)
                    checked.add(key)
            assert all(t in tokens['attribute'] for t in row.get('attribute_tokens', ()))
            assert all(t in tokens['log'] for t in row.get('log_tokens', ()))
            if 'filename' in row:
                assert (root / row['filename']).is_file(), row['filename']
    assert checked == set(foreign)
    for name in ('sample', 'sample_data', 'sample_annotation'):
        rows = {r['token']: r for r in tables[name]}
        assert all(not r['next'] or rows[r['next']]['prev'] == r['token'] for r in rows.values()), name
        if 'timestamp' in tables[name][0]:
            assert all(not r['next'] or rows[r['next']]['timestamp'] > r['timestamp'] for r in rows.values()), name
    lidar = [r for r in tables['sample_data'] if 'LIDAR' in r['filename']]
    assert sum(not r['prev'] for r in lidar) == 2 and len(lidar) == 2 * SWEEPS
    assert {r['name'] for r in tables['category']} == set(NUSCENES.raw_names.values())


def test_nuscenes_boxes_hold_their_points(nuscenes: Written) -> None:
    root, _, _, street = nuscenes
    tables = NuScenesTables.open(root)
    categories = {r['token']: r['name'] for r in tables.table('category')}
    kinds = {r['token']: categories[r['category_token']] for r in tables.table('instance')}
    boxes = tables.table('sample_annotation')
    moved = 0
    for sample in tables.samples:
        lidar = tables.key_frames[sample['token']]['LIDAR_TOP']
        values = np.fromfile(root / lidar['filename'], '<f4').reshape(-1, 5)
        labels = np.fromfile(root / tables.lidarseg[lidar['token']]['filename'], np.uint8)
        points = apply(tables.T_world_sensor(lidar), values[:, :3].astype(np.float64))
        for box in (b for b in boxes if b['sample_token'] == sample['token']):
            w, x, y, z = box['rotation']
            rotation = rotation_of(w, x, y, z)
            width, length, height = box['size']
            local = (points - box['translation']) @ rotation
            inside = (np.abs(local) < np.array([length, width, height]) / 2 + 0.05).all(1)
            kind = kinds[box['instance_token']]
            same = inside & (labels == {v: k for k, v in NUSCENES.raw_names.items()}[kind])
            assert same.sum() >= 0.9 * box['num_lidar_pts'] > 0, kind
            assert same.sum() <= 1.1 * box['num_lidar_pts'] + 3, kind
            assert local[inside].size
            moved += bool(box['next']) and any(
                np.linalg.norm(np.subtract(b['translation'], box['translation'])) > 0.4
                for b in boxes if b['token'] == box['next'])
    assert len(boxes) > 20 and moved > 0
    assert {k.split('.')[0] for k in kinds.values()} == {'vehicle', 'human'}
    assert len(kinds) <= 2 * len(street.objects)


def rotation_of(w: float, x: float, y: float, z: float) -> np.ndarray:
    """Euler-Rodrigues, written out independently of the project."""
    v = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * v + 2 * v @ v


def test_nuscenes_map_shows_the_road_under_the_vehicle(nuscenes: Written) -> None:
    import cv2

    root, _, _, _ = nuscenes
    tables = NuScenesTables.open(root)
    mask = np.asarray(cv2.imread(str(root / tables.table('map')[0]['filename']), cv2.IMREAD_GRAYSCALE))
    for sample in tables.samples[:2]:
        x, y, _ = tables.poses[tables.key_frames[sample['token']]['LIDAR_TOP']['ego_pose_token']]['translation']
        assert mask[mask.shape[0] - 1 - round(y * 10), round(x * 10)] == 255
    assert 0.02 < np.mean(mask > 0) < 0.6


def test_nuscenes_scene_is_known_again_and_tokens_stay(nuscenes: Written, tmp_path: Path) -> None:
    root, sweeps, rig, street = nuscenes
    assert scene_made_of(root, VERSION, 'scene-0001') == {'made': 1}
    assert scene_made_of(root, VERSION, 'scene-0007') is None
    writer = NuScenesScene(tmp_path, SceneName(VERSION, 'test0', 0, SEED), street, rig.without_cameras())
    for sweep in sweeps:
        writer.write(sweep)
    writer.finish()
    merge_scenes(tmp_path, VERSION)
    for name in ('sample', 'sample_annotation', 'instance'):
        mine = {r['token'] for r in json.loads((tmp_path / VERSION / f'{name}.json').read_text())}
        assert mine < {r['token'] for r in json.loads((root / VERSION / f'{name}.json').read_text())}
    with pytest.raises(InputError, match='no finished scene'):
        merge_scenes(tmp_path, 'v1.0-other')
    with pytest.raises(InputError, match='none of nuScenes'):
        NuScenesScene(tmp_path, SceneName(VERSION, 'test0', 1, SEED), street, kitti_rig(1))


def test_command_writes_both_layouts_and_goes_on_where_it_was(tmp_path: Path) -> None:
    from training.commands.world import WorldData, run

    kitti, nuscenes = tmp_path / 'kitti', tmp_path / 'nuscenes'
    data = WorldData(split='test', first=3, sweeps=2, cameras=0)
    run(kitti, data, processes=1)
    sweep = kitti / 'sequences' / '03' / 'velodyne' / '000001.bin'
    before = sweep.read_bytes(), sweep.stat().st_mtime_ns
    run(kitti, data, processes=1)
    assert (sweep.read_bytes(), sweep.stat().st_mtime_ns) == before
    mark = kitti / 'sequences' / '03' / 'world.json'
    mark.write_text(mark.read_text().replace('true', 'false'))  # as if it had been interrupted
    run(kitti, data, processes=1)
    assert sweep.read_bytes() == before[0] and sweep.stat().st_mtime_ns > before[1]
    with pytest.raises(InputError, match='another recording; add --force'):
        run(kitti, replace(data, sweeps=3), processes=1)
    run(kitti, replace(data, sweeps=1), processes=1, force=True)
    assert not sweep.exists() and sweep.with_name('000000.bin').is_file()
    data = replace(data, layout='nuscenes')
    run(nuscenes, data, processes=1)
    run(nuscenes, data, processes=1)
    assert len(open_input(nuscenes)) == 1
    with pytest.raises(InputError, match='another scene-0003; add --force'):
        run(nuscenes, replace(data, sweeps=3), processes=1)


def test_command_never_overwrites_what_it_did_not_write(tmp_path: Path) -> None:
    from training.commands.world import WorldData, run

    sweep = tmp_path / 'sequences' / '00' / 'velodyne' / '000000.bin'
    tables = tmp_path / 'v1.0-mini' / 'sample.json'
    for path in (sweep, tables):
        path.parent.mkdir(parents=True)
        path.write_text('precious')
    with pytest.raises(InputError, match='did not write; choose another folder'):
        run(tmp_path, WorldData(sweeps=1, cameras=0), force=True)
    with pytest.raises(InputError, match='did not write; choose another folder'):
        run(tmp_path, WorldData('nuscenes', sweeps=1, cameras=0, version='v1.0-mini'), force=True)
    assert sweep.read_text() == tables.read_text() == 'precious'


@pytest.mark.parametrize(('change', 'named'), [
    ({'layout': 'waymo'}, "no layout 'waymo'; choose one of semantic_kitti, nuscenes"),
    ({'split': 'val'}, "no split 'val'"), ({'cameras': 3}, '3 cameras.*has 2'), ({'version': 'mini'}, 'v1.0-'),
    ({'layout': 'nuscenes', 'images_every': 4}, 'would miss key frames; choose 1, 2, 5 or 10'),
])  # fmt: skip
def test_command_names_settings_that_cannot_be(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    from training.commands.world import WorldData, run

    with pytest.raises(InputError, match=named):
        run(tmp_path, WorldData(**change))
