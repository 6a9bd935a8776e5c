"""The segmentation node as a process, spoken to over real DDS."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the ROS tests need rclpy (extra [ros], or a ROS 2 installation)')

from geometry_msgs.msg import TransformStamped
from ros_peer import NodeProcess, Peer, cloud_message, new_domain, node_process
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float64, UInt64
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.frame import UNKNOWN, Frame
from sam2amml_core.io.pointcloud2 import ADDED_FIELDS, Field, as_structured, decode
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.segmenter import Segmenter
from sam2amml_ros.cameras import LATCHED
from sam2amml_ros.conversions import byte_array

INPUT, NODE = '/points', '/segmentation_node'
OUTPUT, VISUALIZATION, DROPPED = (f'{NODE}/{name}' for name in
                                  ('output/segmentation', 'output/visualization', 'debug/dropped_sweeps'))
PLAIN = [Field('x', 0, 7), Field('y', 4, 7), Field('z', 8, 7), Field('intensity', 12, 7)]
DRIVER = [Field('x', 4, 7), Field('y', 8, 7), Field('z', 12, 7), Field('intensity', 20, 2), Field('ring', 22, 4),
          Field('t', 24, 6), Field('tag', 0, 6)]


def points(count: int = 6000, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    kinds = [('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('intensity', 'f4'), ('ring', 'u2'), ('t', 'u4'), ('tag', 'u4')]
    values = np.zeros(count, kinds)
    distance, azimuth = random.uniform(5, 40, count), random.uniform(-np.pi, np.pi, count)
    values['x'], values['y'] = distance * np.cos(azimuth), distance * np.sin(azimuth)
    values['z'] = random.uniform(-1.7, 0.5, count)
    values['intensity'] = random.integers(0, 200, count)
    values['ring'], values['t'], values['tag'] = random.integers(0, 64, count), np.arange(count), np.arange(count)
    return values


@pytest.fixture(scope='module')
def domain() -> int:
    return new_domain()


@pytest.fixture(scope='module')
def node(bundle: Path, domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:  # noqa: F811
    arguments = ['-p', f'model:={bundle}', '-p', 'threads:=1', '-p', "camera_names:=['front']",
                 '-p', 'overlay_rate:=20.0',
                 '-r', f'~/input/pointcloud:={INPUT}']
    with node_process('segmentation_node', arguments, domain, tmp_path_factory.mktemp('log') / 'node.log') as process:
        process.wait_for('ready')
        yield process


@pytest.fixture(scope='module')
def peer(node: NodeProcess, domain: int) -> Iterator[Peer]:
    found = Peer(domain)
    yield found
    found.close()


@pytest.fixture(scope='module')
def offline(bundle: Path) -> Segmenter:  # noqa: F811
    return Segmenter.open(bundle, 'cpu', threads=1)


def expected(offline: Segmenter, message: PointCloud2) -> Any:
    return offline.segment(Frame(decode(message)))


def test_a_cloud_comes_back_with_its_header_fields_order_and_nan_and_a_label_for_every_point(
        peer: Peer, offline: Segmenter) -> None:
    values = points()
    values['x'][100:200] = np.nan
    values['z'][300] = np.inf
    message = cloud_message(values, DRIVER, step=32)
    answer = peer.ask(INPUT, message, PointCloud2, OUTPUT)
    assert answer.header == message.header
    assert (answer.height, answer.width, answer.is_bigendian) == (1, len(values), False)
    assert [f.name for f in answer.fields][:len(DRIVER)] == [f.name for f in DRIVER]
    assert {f.name: f.datatype for f in answer.fields if f.name in ADDED_FIELDS} == {
        'class_id': 2, 'probability': 7, 'source': 2}
    before, after = as_structured(message), as_structured(answer)
    for field in DRIVER:
        assert before[field.name].tobytes() == after[field.name].tobytes(), field.name
    class_id = after['class_id'].ravel()
    assert (class_id[100:200] == UNKNOWN).all()
    assert class_id[300] == UNKNOWN
    assert set(np.unique(class_id[400:])) - {UNKNOWN} == {SEMANTIC_KITTI.names.index(n) for n in ('road', 'building')}
    labels = expected(offline, message)
    np.testing.assert_array_equal(class_id, labels.class_id)
    np.testing.assert_array_equal(after['probability'].ravel(), labels.probability)


def test_the_node_says_exactly_what_the_segmenter_says_offline(peer: Peer, offline: Segmenter) -> None:
    for seed in range(1, 5):
        message = cloud_message(points(20_000, seed), PLAIN, step=16)
        answer = as_structured(peer.ask(INPUT, message, PointCloud2, OUTPUT))
        labels = expected(offline, message)
        np.testing.assert_array_equal(answer['class_id'].ravel(), labels.class_id)
        np.testing.assert_array_equal(answer['probability'].ravel(), labels.probability)


@pytest.mark.parametrize('bigendian', [False, True])
def test_an_organised_cloud_with_padded_rows_of_either_byte_order_stays_organised(
        peer: Peer, offline: Segmenter, bigendian: bool) -> None:
    message = cloud_message(points(16 * 300), DRIVER, step=32, height=16, row_padding=64, bigendian=bigendian)
    answer = peer.ask(INPUT, message, PointCloud2, OUTPUT)
    assert (answer.height, answer.width, answer.is_bigendian) == (16, 300, bigendian)
    assert answer.row_step == 300 * answer.point_step
    assert len(answer.data) == 16 * answer.row_step
    before, after = as_structured(message), as_structured(answer)
    for field in DRIVER:
        np.testing.assert_array_equal(before[field.name], after[field.name])
    np.testing.assert_array_equal(after['class_id'].ravel(), expected(offline, message).class_id)


def bad_clouds() -> dict[str, PointCloud2]:
    empty = cloud_message(points(0), PLAIN, step=16)
    nowhere = points(50)
    nowhere['x'] = np.nan
    truncated = cloud_message(points(1000), PLAIN, step=16)
    truncated.data = truncated.data[:500]
    no_x = cloud_message(points(1000), PLAIN, step=16)
    no_x.fields = no_x.fields[1:]
    unknown_type = cloud_message(points(1000), PLAIN, step=16)
    unknown_type.fields[3].datatype = 77
    beyond = cloud_message(points(1000), PLAIN, step=16)
    beyond.fields[3].offset = 4000
    return {'empty': empty, 'no finite point': cloud_message(nowhere, PLAIN, step=16), 'truncated': truncated,
            "no field 'x'": no_x, 'unknown datatype 77': unknown_type, 'ends at byte 4004': beyond}


def test_clouds_that_cannot_be_read_are_counted_and_explained_and_the_node_goes_on(
        peer: Peer, node: NodeProcess, offline: Segmenter) -> None:
    counts = peer.listen(UInt64, DROPPED, LATCHED)
    for reason, message in bad_clouds().items():
        peer.until(lambda: counts, 'a count of dropped sweeps',
                   lambda: peer.ask(INPUT, cloud_message(points(10), PLAIN, step=16), PointCloud2, OUTPUT))
        before = counts[-1].data
        peer.until(partial(lambda least: counts[-1].data > least, before), f'the drop of a cloud: {reason}',
                   partial(peer.publish, INPUT, message))
        answer = peer.ask(INPUT, cloud_message(points(500), PLAIN, step=16), PointCloud2, OUTPUT)
        assert answer.width == 500
        assert not any(m.header.stamp == message.header.stamp for m in peer.listen(PointCloud2, OUTPUT))
    assert 'sweep dropped: cloud is empty' in node.log
    assert 'check the LiDAR driver' in node.log
    assert 'Traceback' not in node.log


def test_the_coloured_cloud_holds_the_class_colours_as_rviz_reads_them(peer: Peer) -> None:
    message = cloud_message(points(), PLAIN, step=16)
    coloured = peer.ask(INPUT, message, PointCloud2, VISUALIZATION)
    labelled = peer.ask(INPUT, message, PointCloud2, OUTPUT)
    fields = [(f.name, f.offset, f.datatype) for f in coloured.fields]
    assert fields == [('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('rgb', 12, 7)]
    assert coloured.header == message.header
    packed = as_structured(coloured)['rgb'].ravel().copy().view(np.uint32)
    class_id = as_structured(labelled)['class_id'].ravel()
    known = class_id != UNKNOWN
    rgb = np.stack((packed >> 16 & 255, packed >> 8 & 255, packed & 255), axis=1)
    np.testing.assert_array_equal(rgb[known], SEMANTIC_KITTI.colors[class_id[known]])
    assert len(np.unique(packed[known])) == 2
    for axis in 'xyz':
        np.testing.assert_array_equal(as_structured(coloured)[axis], as_structured(message)[axis])


def test_times_of_the_stages_are_published(peer: Peer) -> None:
    totals = peer.listen(Float64, f'{NODE}/debug/processing_time/total_ms')
    inference = peer.listen(Float64, f'{NODE}/debug/processing_time/inference_ms')
    peer.until(lambda: totals and inference, 'times of stages',
               lambda: peer.publish(INPUT, cloud_message(points(), PLAIN, step=16)))
    assert inference[-1].data > 0
    assert totals[-1].data > 0


def camera_messages(message: PointCloud2) -> tuple[Image, CameraInfo, TransformStamped]:
    """A grey image 80 x 60 of a camera that looks along the LiDAR's x axis, with calibration."""
    image = Image(height=60, width=80, encoding='rgb8', step=240, data=byte_array(np.full(60 * 240, 100, np.uint8)))
    image.header.stamp, image.header.frame_id = message.header.stamp, 'front_optical'
    info = CameraInfo(height=60, width=80, distortion_model='plumb_bob', d=[0.0] * 5,
                      k=[60.0, 0.0, 40.0, 0.0, 60.0, 30.0, 0.0, 0.0, 1.0])
    info.header = image.header
    pose = TransformStamped(child_frame_id='front_optical')
    pose.header.frame_id = message.header.frame_id
    turn = pose.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return image, info, pose


def test_labels_are_drawn_on_the_image_of_a_calibrated_camera(peer: Peer, node: NodeProcess) -> None:
    overlays = peer.listen(Image, f'{NODE}/debug/front/overlay')
    peer.until(lambda: 'overlay of front dropped' in node.log, 'a word about the missing camera',
               lambda: peer.publish(INPUT, cloud_message(points(), PLAIN, step=16)))
    sent = []

    def send() -> None:
        message = cloud_message(points(), PLAIN, step=16)
        image, info, pose = camera_messages(message)
        sent.append(image.header)
        peer.publish(f'{NODE}/input/front/extrinsics', pose, LATCHED)
        peer.publish(f'{NODE}/input/front/camera_info', info)
        peer.publish(f'{NODE}/input/front/image', image)
        peer.publish(INPUT, message)

    peer.until(lambda: overlays, 'an overlay', send)
    drawn = overlays[-1]
    assert drawn.header in sent
    assert (drawn.height, drawn.width, drawn.encoding, drawn.step) == (60, 80, 'rgb8', 240)
    pixels = np.frombuffer(drawn.data, np.uint8).reshape(60, 80, 3)
    changed = (pixels != 100).any(axis=2)
    assert changed[30:].mean() > 0.05
    assert not changed[:20].any(), 'no point lies that high'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_cleanly_on_a_signal(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:  # noqa: F811
    with node_process('segmentation_node', ['-p', f'model:={bundle}'], new_domain(), tmp_path / 'log') as process:
        process.wait_for('ready')
        assert process.stop(number) == 0
        assert 'Traceback' not in process.log


@pytest.mark.parametrize(('arguments', 'reason'), [
    (['-p', 'model:=no_such_model'], 'no_such_model'),
    (['-p', 'engine:=steam'], "parameter engine is 'steam'; choose one of auto"),
    (['-p', "camera_names:=['a', 'a']"], 'repeats a name'),
    (['-p', "camera_names:=['my camera']"], "'my camera'; a topic name has letters"),
    (['-p', "camera_names:=['front']", '-p', 'calibration_file:=/nowhere.yaml'],
     'calibration file /nowhere.yaml is missing'),
])
def test_a_node_that_cannot_start_says_why_and_ends(
        bundle: Path, tmp_path: Path, arguments: list[str], reason: str) -> None:  # noqa: F811
    model = [] if any('model:=' in a for a in arguments) else ['-p', f'model:={bundle}']
    process = NodeProcess('segmentation_node', [*model, *arguments], new_domain(), tmp_path / 'log')
    assert process.process.wait(40) == 1
    assert reason in process.log
    assert 'Traceback' not in process.log
