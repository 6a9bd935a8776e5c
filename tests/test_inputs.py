"""Every kind of recording the command line reads, and what it says of broken ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_calibration import P2, row, write_tables

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame, PointCloud
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY
from sam2amml_core.io.clouds import read_cloud
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.labels import make_folder, read_label, write_label

DATA = Path(__file__).parents[2] / 'shared' / 'data'
real = pytest.mark.skipif(not DATA.is_dir(), reason='no folder of real frames beside the repository')


def points(count: int = 100, columns: int = 4) -> np.ndarray:
    values = np.random.default_rng(count).uniform(-20, 20, (count, columns)).astype('<f4')
    values[:, 3] = np.linspace(0, 1, count)
    if columns == 5:
        values[:, 3] *= 255
        values[:, 4] = np.arange(count) % 32
    return values


def write(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values.tofile(path)
    return path


def write_image(path: Path, width: int = 40, height: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = 200  # blue in OpenCV's order
    cv2.imwrite(str(path), image)


def test_kitti_and_nuscenes_files_are_read_by_their_names(tmp_path: Path) -> None:
    four, five = points(), points(columns=5)
    kitti = read_cloud(write(tmp_path / 'a.bin', four))
    nuscenes = read_cloud(write(tmp_path / 'a.pcd.bin', five))
    assert np.array_equal(kitti.xyz, four[:, :3]) and np.array_equal(kitti.intensity, four[:, 3])
    assert np.array_equal(nuscenes.xyz, five[:, :3]) and np.allclose(nuscenes.intensity, five[:, 3] / 255)
    assert nuscenes.ring is not None and np.array_equal(nuscenes.ring, five[:, 4])


@pytest.mark.parametrize(('name', 'content', 'named'), [
    ('empty.bin', b'', 'empty'),
    ('short.bin', points().tobytes()[:-3], 'multiple of 16.*truncated'),
    ('short.pcd.bin', points(columns=5).tobytes()[:-4], 'multiple of 20.*truncated'),
    ('swapped.bin', points().astype('>f4').tobytes(), 'big-endian'),
    ('nan.bin', np.full((10, 4), np.nan, '<f4').tobytes(), 'no finite point'),
    ('four.pcd.bin', points(100, 4).tobytes(), 'column 5 is no ring'),
])
def test_broken_clouds_are_named(tmp_path: Path, name: str, content: bytes, named: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=named) as error:
        read_cloud(tmp_path / name)
    assert name in str(error.value)


def test_labels_come_back_as_written(tmp_path: Path) -> None:
    ids = np.array([0, 10, 40 | (7 << 16)], np.uint32)
    write_label(tmp_path / 'new' / 'a.label', ids)
    assert np.array_equal(read_label(tmp_path / 'new' / 'a.label', 3), ids)
    assert os.listdir(tmp_path / 'new') == ['a.label']
    with pytest.raises(InputError, match='3 labels for a cloud of 4'):
        read_label(tmp_path / 'new' / 'a.label', 4)
    (tmp_path / 'cut.label').write_bytes(b'12345')
    with pytest.raises(InputError, match=r'cut\.label.*truncated'):
        read_label(tmp_path / 'cut.label')


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    for attempt in (lambda: write_label(tmp_path / 'file' / 'a.label', np.zeros(1, np.uint32)),
                    lambda: make_folder(tmp_path / 'file' / 'deeper')):
        with pytest.raises(InputError, match='cannot write into .*file.*choose another'):
            attempt()


def test_folder_of_sweeps_keeps_the_order_and_finds_labels(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        write(tmp_path / f'{number:06d}.bin', points(10 + number))
    write_label(tmp_path / '000001.label', np.arange(11, dtype=np.uint32) + (5 << 16))
    source = open_input(tmp_path)
    assert [(name, len(frame.cloud)) for name, frame in source] == [('000000', 10), ('000001', 11), ('000002', 12)]
    truth = source.truth('000001')
    assert truth is not None and np.array_equal(truth, np.arange(11)) and source.truth('000000') is None
    assert len(source) == 3 and len(open_input(tmp_path / '000001.bin')) == 1


def test_semantic_kitti_sequence_is_read(tmp_path: Path) -> None:
    for name in ('000000', '000001'):
        write(tmp_path / 'velodyne' / f'{name}.bin', points(30))
        write_image(tmp_path / 'image_2' / f'{name}.png')
        write_label(tmp_path / 'labels' / f'{name}.label', np.full(30, 40, np.uint32))
    (tmp_path / 'calib.txt').write_text(row('P2', P2) + row('Tr', OPTICAL_FROM_BODY[:3]))
    (tmp_path / 'times.txt').write_text('0.0\n1.037e-01\n')
    source = open_input(tmp_path)
    frames = dict(source)
    assert frames['000001'].cloud.stamp_ns == 103_700_000
    view, = frames['000001'].views
    assert (view.camera.name, view.camera.width, view.camera.height) == ('image_2', 40, 20)
    assert view.image[0, 0].tolist() == [0, 0, 200]
    assert np.all(source.truth('000000') == 40)
    assert not next(iter(open_input(tmp_path, images=False)))[1].views


def test_kitti_object_split_has_a_calibration_for_each_sweep(tmp_path: Path) -> None:
    for number, name in enumerate(('000003', '000007')):
        write(tmp_path / 'velodyne' / f'{name}.bin', points(30))
        write_image(tmp_path / 'image_2' / f'{name}.png')
        (tmp_path / 'calib').mkdir(exist_ok=True)
        matrix = np.array(P2)
        matrix[0, 0] += number
        (tmp_path / 'calib' / f'{name}.txt').write_text(
            row('P2', matrix) + row('R0_rect', np.eye(3)) + row('Tr_velo_to_cam', OPTICAL_FROM_BODY[:3]))
    assert [frame.views[0].camera.projection[0, 0] for _, frame in open_input(tmp_path)] == [721.5, 722.5]


def test_missing_calibration_matters_only_for_images(tmp_path: Path) -> None:
    write(tmp_path / 'velodyne' / '0.bin', points())
    assert len(dict(open_input(tmp_path))) == 1
    write_image(tmp_path / 'image_2' / '0.png')
    with pytest.raises(InputError, match=r'calib\.txt is missing'):
        dict(open_input(tmp_path))


def test_nuscenes_root_is_turned_to_face_forward(tmp_path: Path) -> None:
    """The LiDAR of nuScenes has y forward; a point ahead of the car must come out on the x axis, in the same pixel."""
    lidar = np.eye(4)
    lidar[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    camera = np.linalg.inv(OPTICAL_FROM_BODY)
    write_tables(tmp_path / 'v1.0-mini', {'ego_lidar': lidar, 'ego_camera': camera, 'world_ego_lidar': np.eye(4),
                                          'world_ego_camera': np.eye(4)})
    values = points(columns=5)
    values[0, :3] = (-1, 10, 0.5)
    write(tmp_path / 'samples/LIDAR_TOP/x.pcd.bin', values)
    write_image(tmp_path / 'samples/CAM_FRONT/x.jpg', 1600, 900)
    (name, frame), = open_input(tmp_path)
    assert name == 'x' and np.allclose(frame.cloud.xyz[0], (10, 1, 0.5))
    seen = project(frame.cloud.xyz[:1], [frame.views[0].camera])[0]
    assert np.allclose(seen.uv[0], (816 - 126.6, 491 - 63.3)) and seen.depth[0] == pytest.approx(10)


def test_lidarseg_truth_is_read_and_its_numbering_checked_by_name(tmp_path: Path) -> None:
    write_tables(tmp_path / 'v1.0-mini', {name: np.eye(4) for name in
                                          ('ego_lidar', 'ego_camera', 'world_ego_lidar', 'world_ego_camera')})
    write(tmp_path / 'samples/LIDAR_TOP/x.pcd.bin', points(40, 5))
    write(tmp_path / 'lidarseg/dl.bin', np.full(40, 17, np.uint8))
    tables: dict[str, list[dict]] = {
        'lidarseg': [{'token': 'q', 'sample_data_token': 'dl', 'filename': 'lidarseg/dl.bin'}],
        'category': [{'token': 'k', 'index': 17, 'name': 'vehicle.car'}]}
    for name, records in tables.items():
        (tmp_path / 'v1.0-mini' / f'{name}.json').write_text(json.dumps(records))
    assert np.all(open_input(tmp_path, images=False).truth('x') == 17)
    tables['category'][0]['name'] = 'animal'
    (tmp_path / 'v1.0-mini' / 'category.json').write_text(json.dumps(tables['category']))
    with pytest.raises(InputError, match='17.*animal'):
        open_input(tmp_path, images=False).truth('x')


def test_nuscenes_tables_without_sweeps_are_named(tmp_path: Path) -> None:
    write_tables(tmp_path / 'v1.0-mini', {name: np.eye(4) for name in
                                          ('ego_lidar', 'ego_camera', 'world_ego_lidar', 'world_ego_camera')})
    with pytest.raises(InputError, match='none of the sweeps.*x.pcd.bin'):
        open_input(tmp_path)


def test_bag_comes_back_as_written(tmp_path: Path) -> None:
    pytest.importorskip('rosbags', reason='bags need rosbags (extra [ros])')
    from sam2amml_core.io.bag_writer import write_bag

    camera = Camera('front', 40, 20, np.array([[30.0, 0, 20, 0], [0, 30, 10, 0], [0, 0, 1, 0]]), OPTICAL_FROM_BODY)
    frames = []
    for number in range(4):
        stamp = 1_000_000_000 + number * 100_000_000
        cloud = PointCloud(np.ascontiguousarray(points(50 + number)[:, :3]), points(50 + number)[:, 3].copy(),
                           stamp_ns=stamp)
        frames.append(Frame(cloud, (CameraView(camera, np.full((20, 40, 3), number, np.uint8), stamp),)))
    write_bag(frames, tmp_path / 'bag')
    source = open_input(tmp_path / 'bag')
    assert len(source) == 4
    for (_, read), written in zip(source, frames, strict=True):
        assert np.array_equal(read.cloud.xyz, written.cloud.xyz) and read.cloud.stamp_ns == written.cloud.stamp_ns
        assert np.array_equal(read.views[0].image, written.views[0].image)
        assert np.allclose(read.views[0].camera.T_camera_lidar, camera.T_camera_lidar)


def test_truncated_bag_is_named(tmp_path: Path) -> None:
    pytest.importorskip('rosbags', reason='bags need rosbags (extra [ros])')
    (tmp_path / 'cut.mcap').write_bytes(b'\x89MCAP0\r\n' + bytes(100))
    with pytest.raises(InputError, match=r'cut\.mcap cannot be read'):
        open_input(tmp_path / 'cut.mcap')


def test_unknown_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='does not exist'):
        open_input(tmp_path / 'nowhere')
    with pytest.raises(InputError, match='no known kind.*SemanticKITTI'):
        open_input(tmp_path)
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(InputError, match='no known kind'):
        open_input(tmp_path / 'notes.txt')
    (tmp_path / 'sample.json').write_text('{}')
    with pytest.raises(InputError, match='no entry "lidar"'):
        open_input(tmp_path)


@real
def test_annotated_boxes_of_nuscenes_hold_the_points_they_claim() -> None:
    """The cloud is read and turned rightly: the points inside each 3D box are as many as annotated."""
    content = json.loads((DATA / 'nuscenes_sample' / 'sample.json').read_text())
    (_, frame), = open_input(DATA / 'nuscenes_sample')
    xyz = np.stack((-frame.cloud.xyz[:, 1], frame.cloud.xyz[:, 0], frame.cloud.xyz[:, 2]), axis=1)  # back to y forward
    agreeing = 0
    for box in content['boxes']:
        c, s = np.cos(box['yaw']), np.sin(box['yaw'])
        local = (xyz - box['centre']) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        inside = (np.abs(local) <= np.array(box['size_lwh']) / 2).all(axis=1)
        agreeing += abs(int(inside.sum()) - box['num_lidar_pts']) <= max(2, 0.05 * box['num_lidar_pts'])
    assert agreeing >= 0.95 * len(content['boxes'])


@real
@pytest.mark.parametrize(('folder', 'sweeps', 'cameras', 'share'), [
    ('nuscenes_sample', 1, 6, 0.6), ('kitti_000008', 1, 1, 0.99), ('kitti_000000', 1, 1, 0.15),
    ('kitti_clip', 12, 1, 0.12), ('semantic_kitti_00_000000', 1, 0, 0.0),
])
def test_real_recordings_are_read_and_projected(folder: str, sweeps: int, cameras: int, share: float) -> None:
    source = open_input(DATA / folder)
    assert len(source) == sweeps
    _, frame = next(iter(source))
    assert len(frame.views) == cameras
    projection = project(frame.cloud.xyz, [view.camera for view in frame.views])
    assert sum(len(camera) for camera in projection) >= share * len(frame.cloud)
    for view, seen in zip(frame.views, projection, strict=True):
        assert view.image.shape == (view.camera.height, view.camera.width, 3)
        matrix = view.camera.projection @ view.camera.T_camera_lidar
        exact = np.hstack((frame.cloud.xyz[seen.index], np.ones((len(seen), 1)))) @ matrix.T
        assert np.abs(seen.uv - exact[:, :2] / exact[:, 2:]).max() < 1e-3


@real
def test_labels_of_the_real_sweep_are_found() -> None:
    source = open_input(DATA / 'semantic_kitti_00_000000')
    truth = source.truth('000000')
    assert truth is not None
    assert set(np.unique(truth)) <= {0, 1, 10, 11, 15, 18, 20, 30, 40, 44, 48, 49, 50, 51, 52, 60, 70, 71, 72, 80, 81,
                                     99, 252, 253, 254, 255, 256, 257, 258, 259}


def test_recorded_street_brings_its_truth(tmp_path: Path) -> None:
    """A folder as ``sam2amml world-bag`` writes it: bag, labels and sequence.json."""
    pytest.importorskip('rosbags', reason='bags need rosbags (extra [ros])')
    from sam2amml_core.io.bag_writer import write_bag

    values = points(60)
    cloud = PointCloud(np.ascontiguousarray(values[:, :3]), values[:, 3].copy(), stamp_ns=10)
    write_bag([Frame(cloud)], tmp_path / 'bag')
    write_label(tmp_path / 'labels' / '000000.label', np.full(60, 40 | 9 << 16, np.uint32))
    (tmp_path / 'sequence.json').write_text('{}')
    source = open_input(tmp_path)
    (name, _), = source
    assert source.schema == 'semantic_kitti' and np.all(source.truth(name) == 40)
    assert open_input(tmp_path / 'bag').truth(name) is None
