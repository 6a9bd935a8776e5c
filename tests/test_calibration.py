"""Calibration readers: KITTI dialects, nuScenes tables, CameraInfo, and the YAML file of our own."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, Distortion
from sam2amml_core.geometry.calibration import (
    NuScenesTables,
    camera_from_info,
    read_calibration_file,
    read_kitti_calib,
    write_calibration_file,
)
from sam2amml_core.geometry.transforms import (
    OPTICAL_FROM_BODY,
    compose,
    invert,
    matrix_to_quaternion,
    quaternion_to_matrix,
    transform,
)

P2 = [[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]]


def row(name: str, matrix: np.ndarray | list) -> str:
    return f'{name}: ' + ' '.join(f'{value:.12e}' for value in np.ravel(matrix)) + '\n'


def some_pose(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return transform(quaternion_to_matrix(random.normal(size=4)), random.normal(size=3))


@pytest.mark.parametrize('quaternion', [(0, 0, 0, 1), (1, 0, 0, 0), (0.5, -0.5, 0.5, 0.5), (0.1, 0.7, -0.2, 0.3)])
def test_quaternion_and_matrix_convert_into_each_other(quaternion: tuple[float, ...]) -> None:
    q = np.array(quaternion) / np.linalg.norm(quaternion)
    assert np.allclose(matrix_to_quaternion(quaternion_to_matrix(q)), q if q[3] >= 0 else -q)


def test_quaternion_turns_the_right_way() -> None:
    quarter = quaternion_to_matrix(np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)]))
    assert np.allclose(quarter @ (1, 0, 0), (0, 1, 0))
    pose = some_pose(1)
    assert np.allclose(compose(pose, invert(pose)), np.eye(4))
    with pytest.raises(InputError, match='length'):
        quaternion_to_matrix(np.zeros(4))


def test_kitti_dialects_say_the_same(tmp_path: Path) -> None:
    rectify, velo = some_pose(1)[:3, :3], some_pose(2)
    (tmp_path / 'odometry.txt').write_text(
        row('P0', P2) + '\n' + row('P2', P2) + row('Tr', (transform(rectify, np.zeros(3)) @ velo)[:3]))
    (tmp_path / 'object.txt').write_text(
        'calib_time: 09-Jan-2012 13:57:47\n' + row('P2', P2) + row('R0_rect', rectify)
        + row('Tr_velo_to_cam', velo[:3]))
    (tmp_path / 'calib_cam_to_cam.txt').write_text(
        'calib_time: 09-Jan-2012\ncorner_dist: 9.95e-02\n' + row('P_rect_02', P2) + row('R_rect_00', rectify))
    (tmp_path / 'calib_velo_to_cam.txt').write_text(row('R', velo[:3, :3]) + row('T', velo[:3, 3]))
    cameras = [read_kitti_calib(tmp_path / name).camera(2, 1242, 375) for name in ('odometry.txt', 'object.txt', '')]
    for camera in cameras:
        assert np.allclose(camera.projection, P2)
        assert np.allclose(camera.T_camera_lidar, transform(rectify, np.zeros(3)) @ velo)


@pytest.mark.parametrize(('text', 'named'), [
    (row('P2', P2), 'Tr .*missing'),
    (row('P2', P2) + row('Tr_velo_to_cam', np.eye(4)[:3]), 'R0_rect is missing'),
    (row('P2', P2) + 'Tr: 1 2 3\n', 'Tr .*has 3 numbers'),
    (row('P2', P2) + row('Tr', np.ones((3, 4))), 'Tr .*no rigid transform'),
    (row('Tr', np.eye(4)[:3]), 'P2 is missing'),
])
def test_kitti_file_with_a_missing_or_damaged_matrix_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / 'calib.txt'
    path.write_text(text)
    with pytest.raises(InputError, match=named) as error:
        read_kitti_calib(path).camera(2, 10, 10)
    assert str(path) in str(error.value)


def test_missing_kitti_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'calib\.txt is missing'):
        read_kitti_calib(tmp_path / 'calib.txt')


def info(**changes: object) -> SimpleNamespace:
    k = [700, 0, 320, 0, 700, 240, 0, 0, 1]
    p = [690, 0, 318, 0, 0, 690, 239, 0, 0, 0, 1, 0]
    return SimpleNamespace(**{'width': 640, 'height': 480, 'd': [], 'k': k, 'r': np.eye(3).ravel(), 'p': p,
                              'binning_x': 0, 'binning_y': 0, 'distortion_model': 'plumb_bob', 'roi': None, **changes})


def test_camera_info_uses_p_for_rectified_and_k_for_raw_images() -> None:
    distorted = info(d=[-0.3, 0.1, 0, 0, 0])
    assert camera_from_info(distorted, OPTICAL_FROM_BODY, 'front', rectified=True).projection[0, 0] == 690
    assert camera_from_info(info(), OPTICAL_FROM_BODY, 'front').projection[0, 0] == 700
    raw = camera_from_info(distorted, OPTICAL_FROM_BODY, 'front')
    assert raw.projection[0, 0] == 700
    assert raw.distortion == Distortion('plumb_bob', (-0.3, 0.1, 0.0, 0.0, 0.0))
    with pytest.raises(InputError, match='front has no P matrix'):
        camera_from_info(info(d=[-0.3, 0.1, 0, 0, 0], p=[0.0] * 12), OPTICAL_FROM_BODY, 'front', rectified=True)


@pytest.mark.parametrize(('model', 'd', 'named'), [
    ('thin_prism', [0.1, 0, 0, 0, 0], "front: distortion model 'thin_prism' is not supported.*plumb_bob.*image_rect"),
    ('', [0.1, 0, 0, 0, 0], r"front: distortion model '\(empty\)'"),
    ('rational_polynomial', [0.1] * 12, 'front: 12 distortion coefficients for rational_polynomial; it has 8'),
    ('plumb_bob', [0.1] * 3, 'front: 3 distortion coefficients for plumb_bob; it has 4 or 5'),
    ('plumb_bob', [np.nan] * 5, 'front: distortion coefficients .* not finite'),
])
def test_lens_models_that_cannot_be_used_are_named(model: str, d: list[float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        camera_from_info(info(distortion_model=model, d=d), OPTICAL_FROM_BODY, 'front')


def test_lens_models_as_opencv_writes_them_are_read() -> None:
    lens = Distortion('rational_polynomial', (0.1,) * 8)
    fourteen = info(distortion_model=lens.model, d=[0.1] * 8 + [0.0] * 6)
    assert camera_from_info(fourteen, OPTICAL_FROM_BODY, 'c').distortion == lens
    assert camera_from_info(info(distortion_model='', d=[0.0] * 5), OPTICAL_FROM_BODY, 'c').distortion is None
    fisheye = camera_from_info(info(distortion_model='equidistant', d=[0.0] * 4), OPTICAL_FROM_BODY, 'c')
    assert fisheye.distortion == Distortion('equidistant', (0.0,) * 4), 'no coefficients, yet no pinhole'


def test_uncalibrated_camera_info_is_named() -> None:
    with pytest.raises(InputError, match='front is not calibrated'):
        camera_from_info(info(k=[0.0] * 9), OPTICAL_FROM_BODY, 'front')


def test_a_matrix_that_no_camera_has_is_named() -> None:
    for k in ([700, 0, 320, 5, 700, 240, 0, 0, 1], [700, 0, 320, 0, 700, 240, 0, 0, 0], [700.0, np.nan] + [0.0] * 7):
        with pytest.raises(InputError, match='camera front: CameraInfo'):
            camera_from_info(info(k=k), OPTICAL_FROM_BODY, 'front')


def test_binning_and_region_of_interest_shift_the_projection() -> None:
    region = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300)
    camera = camera_from_info(info(roi=region, binning_x=2, binning_y=2), OPTICAL_FROM_BODY, 'c')
    assert (camera.width, camera.height) == (200, 150)
    assert np.allclose(camera.projection[:, :3], [[350, 0, 110], [0, 350, 100], [0, 0, 1]])


def test_body_frame_extrinsics_are_recognised() -> None:
    body = transform(np.eye(3), np.array([-1.5, 0, 0.3]))
    with pytest.raises(InputError, match='front.*body frame.*optical'):
        camera_from_info(info(), body, 'front')
    camera_from_info(info(), OPTICAL_FROM_BODY @ body, 'front')


def test_extrinsics_the_wrong_way_round_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    camera_from_info(info(), invert(OPTICAL_FROM_BODY), 'front')
    assert 'wrong way round' in caplog.text


def test_our_file_comes_back_as_written(tmp_path: Path) -> None:
    moved = OPTICAL_FROM_BODY @ transform(np.eye(3), np.array([0.1, 0.2, -0.3]))
    cameras = [Camera('left', 1242, 375, np.array(P2), moved),
               Camera('right', 640, 480, np.array(P2), OPTICAL_FROM_BODY),
               Camera('wide', 640, 480, np.eye(3, 4) * 300, OPTICAL_FROM_BODY, Distortion('equidistant', (0.1,) * 4))]
    write_calibration_file(tmp_path / 'cameras.yaml', cameras)
    for ours, read in zip(cameras, read_calibration_file(tmp_path / 'cameras.yaml'), strict=True):
        assert (ours.name, ours.width, ours.height) == (read.name, read.width, read.height)
        assert np.array_equal(ours.projection, read.projection)
        assert ours.distortion == read.distortion
        assert np.array_equal(ours.T_camera_lidar, read.T_camera_lidar)


GOOD = """
cameras:
  - name: front
    width: 640
    height: 480
    K: [[700, 0, 320], [0, 700, 240], [0, 0, 1]]
    T_camera_lidar:
      translation: [0.0, -0.1, -0.2]
      quaternion: [0.5, -0.5, 0.5, 0.5]
"""


def test_translation_and_quaternion_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'cameras.yaml'
    path.write_text(GOOD)
    camera, = read_calibration_file(path)
    assert np.allclose(camera.T_camera_lidar, transform(OPTICAL_FROM_BODY[:3, :3], np.array([0, -0.1, -0.2])))


@pytest.mark.parametrize(('change', 'named'), [
    (('width: 640', 'width: -1'), r'cameras\.0\.width'), (('    K:', '    Q:'), r'K \(3x3\) or projection|Q'),
    (('[0.5, -0.5, 0.5, 0.5]', '[0, 0, 0, 1]'), 'body frame'),
    (('[0.5, -0.5, 0.5, 0.5]', '[0, 0, 0, 0]'), 'quaternion'),
    (('[[700, 0', '[[0, 0'), 'focal'), (('cameras:', 'cameras: ['), 'YAML'),
])
def test_mistakes_in_our_file_are_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    path = tmp_path / 'cameras.yaml'
    path.write_text(GOOD.replace(*change))
    with pytest.raises(InputError, match=named) as error:
        read_calibration_file(path)
    assert 'cameras.yaml' in str(error.value)


def write_tables(folder: Path, poses: dict[str, np.ndarray]) -> None:
    """One sample with a LiDAR and a camera; poses: ego_lidar, ego_camera, world_ego_lidar, world_ego_camera."""
    def pose(token: str, name: str, **more: object) -> dict:
        x, y, z, w = matrix_to_quaternion(poses[name])
        return {'token': token, 'translation': poses[name][:3, 3].tolist(), 'rotation': [w, x, y, z], **more}

    tables = {
        'sample': [{'token': 's', 'timestamp': 5, 'scene_token': 'a'}],
        'sensor': [{'token': 'L', 'channel': 'LIDAR_TOP', 'modality': 'lidar'},
                   {'token': 'C', 'channel': 'CAM_FRONT', 'modality': 'camera'}],
        'calibrated_sensor': [
            pose('cl', 'ego_lidar', sensor_token='L', camera_intrinsic=[]),
            pose('cc', 'ego_camera', sensor_token='C', camera_intrinsic=[[1266, 0, 816], [0, 1266, 491], [0, 0, 1]])],
        'ego_pose': [pose('el', 'world_ego_lidar'), pose('ec', 'world_ego_camera')],
        'sample_data': [
            {'token': 'dl', 'sample_token': 's', 'ego_pose_token': 'el', 'calibrated_sensor_token': 'cl',
             'timestamp': 5, 'is_key_frame': True, 'filename': 'samples/LIDAR_TOP/x.pcd.bin', 'width': 0, 'height': 0},
            {'token': 'dc', 'sample_token': 's', 'ego_pose_token': 'ec', 'calibrated_sensor_token': 'cc',
             'timestamp': 6, 'is_key_frame': True, 'filename': 'samples/CAM_FRONT/x.jpg', 'width': 1600,
             'height': 900}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in tables.items():
        (folder / f'{name}.json').write_text(json.dumps(records))


def test_nuscenes_chain_goes_through_both_ego_poses(tmp_path: Path) -> None:
    names = ('ego_lidar', 'ego_camera', 'world_ego_lidar', 'world_ego_camera')
    poses = {name: some_pose(number) for number, name in enumerate(names)}
    write_tables(tmp_path / 'v1.0-mini', poses)
    tables = NuScenesTables.open(tmp_path)
    channels = tables.key_frames['s']
    camera = tables.camera(channels['LIDAR_TOP'], channels['CAM_FRONT'])
    point = np.array([3.0, -2.0, 1.0, 1.0])
    world = poses['world_ego_lidar'] @ poses['ego_lidar'] @ point
    seen = np.linalg.inv(poses['ego_camera']) @ np.linalg.inv(poses['world_ego_camera']) @ world
    assert np.allclose(camera.T_camera_lidar @ point, seen)
    assert (camera.name, camera.width, camera.projection[0, 2]) == ('CAM_FRONT', 1600, 816)


def test_missing_nuscenes_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='v1.0'):
        NuScenesTables.open(tmp_path)
    write_tables(tmp_path / 'v1.0-mini', {name: np.eye(4) for name in
                                          ('ego_lidar', 'ego_camera', 'world_ego_lidar', 'world_ego_camera')})
    (tmp_path / 'v1.0-mini' / 'ego_pose.json').write_text('[{"token":')
    with pytest.raises(InputError, match=r'ego_pose\.json cannot be read'):
        tables = NuScenesTables.open(tmp_path)
        tables.T_world_sensor(tables.key_frames['s']['LIDAR_TOP'])
    (tmp_path / 'v1.0-mini' / 'ego_pose.json').unlink()
    with pytest.raises(InputError, match=r'ego_pose\.json is missing'):
        NuScenesTables.open(tmp_path)
