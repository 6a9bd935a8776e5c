"""Bags written and read without ROS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='bags need the rosbags library (extra [ros])')

from sam2amml_core.commands.bag import run as make_bag
from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame, PointCloud
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY, transform
from sam2amml_core.io.bag import BagInput, open_bag
from sam2amml_core.io.bag_writer import BagWriter, write_bag
from sam2amml_core.io.cdr import read_stamp, with_stamp
from sam2amml_core.io.inputs import open_input

CLIP = Path(__file__).parents[2] / 'shared' / 'data' / 'kitti_clip'
START = 1_700_000_000_000_000_000


def camera(name: str = 'front', offset: tuple[float, float, float] = (20.0, 0.2, 0.003)) -> Camera:
    """With a stereo offset in its projection, like KITTI's P2."""
    projection = np.array([[300.0, 0, 160, offset[0]], [0, 300, 100, offset[1]], [0, 0, 1, offset[2]]])
    pose = OPTICAL_FROM_BODY.copy()
    pose[:3, 3] = 0.1, -0.2, -0.3
    return Camera(name, 320, 200, projection, pose)


def drive(sweeps: int = 5, with_time: bool = True, cameras: int = 2) -> list[Frame]:
    """Sweeps 0.1 s apart; images half-way, so each lies between two stamps."""
    random = np.random.default_rng(0)
    frames = []
    for index in range(sweeps):
        stamp = START + index * 100_000_000
        count = 1000 + index
        cloud = PointCloud(random.normal(0, 20, (count, 3)).astype(np.float32), random.random(count).astype(np.float32),
                           np.linspace(0, 0.0999, count, dtype=np.float32) if with_time else None,
                           random.integers(0, 64, count).astype(np.uint16) if with_time else None, stamp, 'top')
        shift = 50_000_000 if with_time else 0
        views = tuple(
            CameraView(camera(f'cam_{c}'), random.integers(0, 255, (200, 320, 3)).astype(np.uint8), stamp + shift)
            for c in range(cameras))
        frames.append(Frame(cloud, views))
    return frames


@pytest.mark.parametrize('with_time', [True, False])
def test_frames_come_back_from_a_bag_as_they_were(tmp_path: Path, with_time: bool) -> None:
    frames = drive(with_time=with_time)
    assert write_bag(frames, tmp_path / 'bag') == len(frames)
    back = [frame for _, frame in BagInput(tmp_path / 'bag')]
    assert len(back) == len(frames)
    for before, after in zip(frames, back, strict=True):
        assert (after.cloud.stamp_ns, after.cloud.frame_id) == (before.cloud.stamp_ns, 'top')
        for name in ('xyz', 'intensity', 'time', 'ring'):
            expected, found = getattr(before.cloud, name), getattr(after.cloud, name)
            assert (expected is None) == (found is None)
            if expected is not None:
                np.testing.assert_array_equal(found, expected)
        assert [view.camera.name for view in after.views] == ['cam_0', 'cam_1']
        for view, original in zip(after.views, before.views, strict=True):
            assert view.stamp_ns == original.stamp_ns
            np.testing.assert_array_equal(view.image, original.image)


def test_calibration_in_a_bag_leads_to_the_same_pixels_also_with_a_stereo_offset(tmp_path: Path) -> None:
    frames = drive(sweeps=1, cameras=1)
    write_bag(frames, tmp_path / 'bag')
    (_, back), = list(BagInput(tmp_path / 'bag'))
    before = project(frames[0].cloud.xyz, [frames[0].views[0].camera])[0]
    after = project(frames[0].cloud.xyz, [back.views[0].camera])[0]
    assert len(before) > 20
    np.testing.assert_array_equal(after.index, before.index)
    np.testing.assert_allclose(after.uv, before.uv, atol=1e-3)
    np.testing.assert_allclose(after.depth, before.depth, rtol=1e-5)


def test_compressed_images_are_near_the_originals(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    frame = drive(1, cameras=1)[0]
    view = CameraView(frame.views[0].camera, ramp, frame.views[0].stamp_ns)
    write_bag([Frame(frame.cloud, (view,))], tmp_path / 'bag', 'compressed')
    (_, back), = list(BagInput(tmp_path / 'bag'))
    assert np.abs(back.views[0].image.astype(int) - ramp).max() < 12


def test_a_sweep_is_stored_when_its_last_point_was_measured_and_an_image_when_it_was_taken(tmp_path: Path) -> None:
    write_bag(drive(3), tmp_path / 'bag')
    times: dict[str, list[int]] = {}
    with open_bag(tmp_path / 'bag') as reader:
        for connection, logged_ns, _ in reader.messages():
            times.setdefault(connection.topic, []).append(logged_ns - START)
    np.testing.assert_allclose(times['/lidar/points'], [99_900_000, 199_900_000, 299_900_000], atol=1000)
    assert times['/cam_0/image'] == [50_000_000, 150_000_000, 250_000_000]
    assert times['/tf_static'] == [0]


def test_poses_and_velocity_are_stored_as_odometry(tmp_path: Path) -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    start, end = transform(turn, np.array([3.0, 4, 5])), transform(turn, np.array([3.0, 5, 5]))
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write(drive(1)[0], start, end)
        bag.write_odometry(end, START + 100_000_000, 'top')
    with open_bag(tmp_path / 'bag') as reader:
        wanted = [c for c in reader.connections if c.topic == '/odometry']
        first, last = (reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(wanted))
    assert (first.pose.pose.position.x, first.pose.pose.position.y, first.pose.pose.position.z) == (3, 4, 5)
    assert first.pose.pose.orientation.z == pytest.approx(np.sqrt(0.5))
    assert first.twist.twist.linear.x == pytest.approx(10), 'it moved 1 m forwards in 0.1 s'
    assert last.twist.covariance[0] == -1, 'velocity unknown'


def test_a_bag_that_failed_half_way_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / 'bag') as bag:
        bag.write(drive(1)[0])
        raise ZeroDivisionError
    assert not (tmp_path / 'bag').exists()


def test_a_bag_replaces_a_bag_but_nothing_else(tmp_path: Path) -> None:
    write_bag(drive(2), tmp_path / 'bag')
    write_bag(drive(3), tmp_path / 'bag')
    assert len(BagInput(tmp_path / 'bag')) == 3
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'holiday.jpg').touch()
    with pytest.raises(InputError, match='is not a bag; choose another folder'):
        write_bag(drive(1), tmp_path / 'photos')
    assert (tmp_path / 'photos' / 'holiday.jpg').exists()


def test_a_bag_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write bag'):
        write_bag(drive(1), tmp_path / 'file' / 'bag')
    with pytest.raises(InputError, match='no frames'):
        write_bag([], tmp_path / 'bag')
    with pytest.raises(InputError, match="images is 'jpeg'"):
        BagWriter(tmp_path / 'bag', 'jpeg')


@pytest.mark.parametrize('order', ['little', 'big'])
def test_the_stamp_of_a_serialised_message_is_replaced_in_place(order: str) -> None:
    flag = 1 if order == 'little' else 0
    raw = bytes([0, flag, 0, 0]) + (7).to_bytes(4, order) + (5).to_bytes(4, order) + b'the rest'  # type: ignore[arg-type]
    assert read_stamp(raw) == 7_000_000_005
    changed = with_stamp(raw, 1_700_000_000_123_456_789)
    assert read_stamp(changed) == 1_700_000_000_123_456_789
    assert changed[12:] == raw[12:]
    with pytest.raises(InputError, match='no header'):
        read_stamp(b'\0\1\0\0')


@pytest.mark.skipif(not CLIP.is_dir(), reason='needs ../shared/data/kitti_clip')
def test_real_sweeps_and_images_become_a_bag_with_the_same_content(tmp_path: Path) -> None:
    assert make_bag(CLIP, tmp_path / 'bag') == 12
    stamps = []
    for (_, before), (_, after) in zip(open_input(CLIP), BagInput(tmp_path / 'bag'), strict=True):
        np.testing.assert_array_equal(after.cloud.xyz, before.cloud.xyz)
        np.testing.assert_array_equal(after.views[0].image, before.views[0].image)
        stamps.append(after.cloud.stamp_ns)
    assert set(np.diff(stamps)) == {100_000_000}
