"""The mask node as a process, and masks in the segmentation node, over real DDS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the ROS tests need rclpy (extra [ros], or a ROS 2 installation)')
pytest.importorskip('skimage', reason='the extra [masks] is not installed')

from mask_scene import HEIGHT, WIDTH, make_camera, make_scene
from ros_peer import NodeProcess, Peer, cloud_message, new_domain, node_process
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from test_ros_node import PLAIN
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.calibration_file import read_calibration_file
from sam2amml_core.geometry.projection import project
from sam2amml_core.io.pointcloud2 import as_structured
from sam2amml_core.masks.lift import ids_at
from sam2amml_ros.conversions import byte_array
from sam2amml_ros.mask_messages import mask_message, read_mask_message

POINTS, IMAGE = '/points', '/front/image'


@pytest.fixture(scope='module')
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The camera of the small scene in a file."""
    camera = make_camera()
    path = tmp_path_factory.mktemp('calibration') / 'cameras.yaml'
    rows = [[float(value) for value in row] for row in camera.T_camera_lidar]
    matrix = [[float(value) for value in row] for row in camera.projection[:, :3]]
    path.write_text(f'cameras:\n- name: front\n  width: {WIDTH}\n  height: {HEIGHT}\n  K: {matrix}\n'
                    f'  T_camera_lidar: {rows}\n')
    assert read_calibration_file(path)[0].name == 'front'
    return path


def arguments(calibration: Path, *more: str) -> list[str]:
    names = ('~/input/pointcloud:=' + POINTS, '~/input/front/image:=' + IMAGE)
    return ['-p', "camera_names:=['front']", '-p', f'calibration_file:={calibration}', '-p', 'threads:=1',
            *(word for name in names for word in ('-r', name)), *(word for p in more for word in ('-p', p))]


@pytest.fixture(scope='module')
def domain() -> int:
    return new_domain()


@pytest.fixture(scope='module')
def node(calibration: Path, domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    values = arguments(calibration, 'generator:=outlines', 'rate:=20.0')
    with node_process('mask_node', values, domain, tmp_path_factory.mktemp('log') / 'log') as process:
        process.wait_for('ready')
        yield process


@pytest.fixture(scope='module')
def peer(node: NodeProcess, domain: int) -> Iterator[Peer]:
    found = Peer(domain)
    yield found
    found.close()


def messages() -> tuple[PointCloud2, Image]:
    """A sweep of the small scene and its image, with one stamp."""
    view, cloud, _ = make_scene()
    values = np.zeros(len(cloud), [(name, 'f4') for name in ('x', 'y', 'z', 'intensity')])
    for axis, name in enumerate('xyz'):
        values[name] = cloud.xyz[:, axis]
    sweep = cloud_message(values, PLAIN, step=16)
    image = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=3 * WIDTH, data=byte_array(view.image))
    image.header.stamp, image.header.frame_id = sweep.header.stamp, 'front_optical'
    return sweep, image


def test_masks_come_with_the_stamp_and_frame_of_their_image(peer: Peer, node: NodeProcess) -> None:
    masks = peer.listen(Image, '/mask_node/output/front/masks')
    overlays = peer.listen(Image, '/mask_node/debug/front/overlay')
    sent = []

    def send() -> None:
        sweep, image = messages()
        sent.append(image.header)
        peer.publish(IMAGE, image)
        peer.publish(POINTS, sweep)

    peer.until(lambda: masks and overlays, 'masks and an overlay', send)
    assert masks[-1].header in sent and overlays[-1].header in sent
    assert (masks[-1].encoding, masks[-1].height, masks[-1].width) == ('16UC1', HEIGHT, WIDTH)
    ids = read_mask_message(masks[-1])
    view, cloud, part = make_scene()
    points = project(cloud.xyz, [make_camera()])[0]
    found, of = ids_at(points, ids), part[points.index]
    for one in (2, 3):
        best = np.bincount(found[of == one]).argmax()
        assert best > 0 and (of[found == best] == one).mean() > 0.75
    drawn = np.frombuffer(overlays[-1].data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert (drawn[ids == 0] == view.image[ids == 0]).all() and (drawn != view.image).any(axis=2)[ids > 0].mean() > 0.9
    assert 'Traceback' not in node.log


def test_an_image_of_another_size_is_dropped_with_the_reason(peer: Peer, node: NodeProcess) -> None:
    def send() -> None:
        sweep, image = messages()
        image.height //= 2
        image.data = image.data[:3 * WIDTH * image.height]
        peer.publish(IMAGE, image)
        peer.publish(POINTS, sweep)

    peer.until(lambda: f'calibration says {WIDTH} x {HEIGHT}' in node.log, 'a word about the size', send)
    assert 'Traceback' not in node.log


def test_the_segmentation_node_says_which_labels_masks_confirm(
        bundle: Path, calibration: Path, tmp_path: Path) -> None:  # noqa: F811
    domain = new_domain()
    values = [*arguments(calibration, f'model:={bundle}', 'mask_tolerance_ms:=200.0'), '-r',
              '~/input/front/masks:=/front/masks']
    with node_process('segmentation_node', values, domain, tmp_path / 'log') as process:
        process.wait_for('ready')
        peer = Peer(domain)
        try:
            answers = peer.listen(PointCloud2, '/segmentation_node/output/segmentation')
            peer.until(lambda: answers, 'a labelled sweep', lambda: peer.publish(POINTS, messages()[0]))
            assert not as_structured(answers[-1])['source'].any()
            ids = np.zeros((HEIGHT, WIDTH), np.uint16)
            ids[HEIGHT // 2:] = 1

            def send() -> None:
                sweep, image = messages()
                peer.publish('/front/masks', mask_message(image.header, ids))
                peer.publish(POINTS, sweep)

            peer.until(lambda: as_structured(answers[-1])['source'].any(), 'a label that a camera confirmed', send)
            points = as_structured(answers[-1])
            assert set(np.unique(points['source'])) == {0, 1}
            xyz = np.stack([points[name].ravel() for name in 'xyz'], axis=1).astype(np.float32)
            inside = project(xyz, [make_camera()])[0]
            lower = np.zeros(len(xyz), bool)
            lower[inside.index[inside.uv[:, 1] >= HEIGHT // 2]] = True
            assert lower[points['source'].ravel() == 1].all()

            def send_small() -> None:
                sweep, image = messages()
                peer.publish('/front/masks', mask_message(image.header, ids[:10]))
                peer.publish(POINTS, sweep)

            peer.until(lambda: 'masks of 320 x 10 pixels' in process.log, 'a word about the size', send_small)
        finally:
            peer.close()
        assert 'Traceback' not in process.log


@pytest.mark.parametrize(('values', 'reason'), [
    (['camera_names:='], 'camera_names'), (['generator:=magic'], "generator is 'magic'; choose one of lidar"),
    (['generator:=lidar', 'sam2:=none'], 'no shipped SAM2'),
])
def test_a_node_that_cannot_start_says_why(calibration: Path, tmp_path: Path, values: list[str], reason: str) -> None:
    given = [] if values[0].startswith('camera') else arguments(calibration, *values)
    process = NodeProcess('mask_node', given, new_domain(), tmp_path / 'log')
    assert process.process.wait(60) == 1
    assert reason in process.log and 'Traceback' not in process.log


def test_messages_of_any_layout_are_read_and_damaged_ones_refused() -> None:
    ids = np.random.default_rng(0).integers(0, 65536, (5, 7)).astype(np.uint16)
    message = mask_message(CameraInfo().header, ids)
    assert np.array_equal(read_mask_message(message), ids)
    padded = np.zeros((5, 20), np.uint8)
    padded[:, :14] = ids.astype('>u2').view(np.uint8).reshape(5, 14)
    message.is_bigendian, message.step, message.data = 1, 20, byte_array(padded)
    assert np.array_equal(read_mask_message(message), ids)
    message.data = message.data[:80]
    with pytest.raises(InputError, match='truncated'):
        read_mask_message(message)
    message.encoding = 'mono8'
    with pytest.raises(InputError, match="'mono8'"):
        read_mask_message(message)
