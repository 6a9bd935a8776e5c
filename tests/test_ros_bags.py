"""A bag played by one process, labelled by a second, recorded by a third."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the ROS tests need rclpy (extra [ros], or a ROS 2 installation)')
pytest.importorskip('rosbags', reason='bags need the rosbags library (extra [ros])')

from geometry_msgs.msg import TransformStamped
from ros_peer import NodeProcess, Peer, new_domain, node_process, wait_until
from sensor_msgs.msg import PointCloud2
from test_bag_files import CLIP, drive
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.bundle import shipped_bundles
from sam2amml_core.commands.bag import run as make_bag
from sam2amml_core.frame import Frame
from sam2amml_core.io.bag import open_bag
from sam2amml_core.io.bag_writer import write_bag
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.pointcloud2 import as_structured
from sam2amml_core.segmenter import Segmenter
from sam2amml_ros.transforms import LATCHED

LABELLED = '/segmentation_node/output/segmentation'
CLOUD = 'sensor_msgs/msg/PointCloud2'


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def start_player(bag: Path, domain: int, folder: Path, *arguments: str) -> NodeProcess:
    return NodeProcess('playback_node', ['-p', f'bag:={bag}', '-p', f'log:={folder / "played"}', *arguments], domain,
                       folder / 'player.log')


def recorder_arguments(folder: Path, *topics: str) -> list[str]:
    listed = ', '.join(f"'{topic}'" for topic in topics)
    return ['-p', f'bag:={folder / "recorded"}', '-p', f'log:={folder / "arrived"}', '-p', f'topics:=[{listed}]']


@pytest.mark.parametrize('stamp', ['recorded', 'shifted'])
def test_a_played_bag_arrives_whole_and_in_order_with_the_stamps_asked_for(tmp_path: Path, stamp: str) -> None:
    frames = drive(6)
    write_bag(frames, tmp_path / 'bag')
    domain = new_domain()
    topics = ('/lidar/points', '/cam_0/image')
    arguments = recorder_arguments(tmp_path, f'/lidar/points {CLOUD}', '/cam_0/image sensor_msgs/msg/Image')
    with node_process('recorder_node', arguments, domain, tmp_path / 'recorder.log') as recorder:
        player = start_player(tmp_path / 'bag', domain, tmp_path, '-p', f'stamp:={stamp}', '-p', 'rate:=4.0',
                              '-p', 'wait_for:=["/lidar/points", "/cam_0/image"]')
        wait_until(lambda: len(lines(tmp_path / 'arrived')) == 12, '12 messages')
        assert player.process.wait(20) == 0, player.log
        assert recorder.stop() == 0
    played, arrived = lines(tmp_path / 'played'), lines(tmp_path / 'arrived')
    for topic in topics:
        assert [e['stamp_ns'] for e in arrived if e['topic'] == topic] == [
            e['stamp_ns'] for e in played if e['topic'] == topic]
    clouds = np.array([e['stamp_ns'] for e in arrived if e['topic'] == '/lidar/points'])
    original = np.array([frame.cloud.stamp_ns for frame in frames])
    if stamp == 'recorded':
        np.testing.assert_array_equal(clouds, original)
    else:
        np.testing.assert_allclose(np.diff(clouds), np.diff(original) / 4, atol=2)
        assert clouds[0] > original[0]
    due = (np.array([e['stamp_ns'] for e in played if e['topic'] == '/lidar/points']) - played[0]['published_ns'])
    assert (np.diff(due) > 0).all()
    with open_bag(tmp_path / 'recorded') as reader:
        found = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages() if c.topic == '/lidar/points']
    for message, frame in zip(found, frames, strict=True):
        xyz = as_structured(message)
        np.testing.assert_array_equal(np.stack([xyz[axis].ravel() for axis in 'xyz'], 1), frame.cloud.xyz)


@pytest.mark.skipif(not CLIP.is_dir(), reason='needs ../shared/data/kitti_clip')
def test_real_sweeps_over_the_wire_get_the_labels_they_get_offline(bundle: Path, tmp_path: Path) -> None:  # noqa: F811
    model = 'street64' if 'street64' in shipped_bundles() else str(bundle)
    make_bag(CLIP, tmp_path / 'bag')
    domain = new_domain()
    node_arguments = ['-p', f'model:={model}', '-p', "camera_names:=['image_2']",
                      '-r', '~/input/pointcloud:=/lidar/points',
                      *(text for part in ('image', 'camera_info', 'extrinsics')
                        for text in ('-r', f'~/input/image_2/{part}:=/image_2/{part}'))]
    recorder_args = recorder_arguments(tmp_path, f'{LABELLED} {CLOUD}')
    with (node_process('segmentation_node', node_arguments, domain, tmp_path / 'node.log') as node,
          node_process('recorder_node', recorder_args, domain, tmp_path / 'recorder.log') as recorder):
        node.wait_for('ready')
        # slowly, since the tests share the machine: this one is about what arrives, not how fast
        player = start_player(tmp_path / 'bag', domain, tmp_path, '-p', 'rate:=0.12',
                              '-p', f'wait_for:=["/lidar/points", "/image_2/image", "{LABELLED}"]')
        assert player.process.wait(60) == 0, player.log
        wait_until(lambda: len(lines(tmp_path / 'arrived')) == 12, '12 labelled sweeps')
        assert recorder.stop() == 0
        assert node.stop() == 0
        assert 'dropped' not in node.log
    segmenter = Segmenter.open(model, threads=2)
    with open_bag(tmp_path / 'recorded') as reader:
        received = [as_structured(reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages()]
    for points, (_, frame) in zip(received, open_input(CLIP), strict=True):
        labels = segmenter.segment(Frame(frame.cloud))
        np.testing.assert_array_equal(points['x'].ravel(), frame.cloud.xyz[:, 0])
        np.testing.assert_array_equal(points['class_id'].ravel(), labels.class_id)
        np.testing.assert_allclose(points['probability'].ravel(), labels.probability, atol=1e-6)


@pytest.mark.parametrize(('module', 'arguments', 'reason'), [
    ('playback_node', [], 'parameter bag is empty'),
    ('playback_node', ['-p', 'bag:=/nowhere'], 'bag /nowhere'),
    ('playback_node', ['-p', 'bag:=/nowhere', '-p', 'stamp:=tomorrow'], "parameter stamp is 'tomorrow'"),
    ('recorder_node', ['-p', 'bag:=/proc/nothing/bag', '-p', 'topics:=["/points sensor_msgs/msg/PointCloud2"]'],
     'cannot write bag'),
    ('recorder_node', ['-p', 'bag:=unused', '-p', 'topics:=["/points"]'], 'write "TOPIC TYPE"'),
])
def test_a_player_or_recorder_that_cannot_start_says_why(tmp_path: Path, module: str, arguments: list[str], reason: str
                                                         ) -> None:
    arguments = [text.replace('bag:=unused', f'bag:={tmp_path / "unused"}') for text in arguments]
    process = NodeProcess(module, arguments, new_domain(), tmp_path / 'log')
    assert process.process.wait(40) == 1
    assert reason in process.log
    assert 'Traceback' not in process.log


def test_a_bag_played_from_the_middle_in_a_loop_says_the_time_and_what_was_latched_before(tmp_path: Path) -> None:
    from rosgraph_msgs.msg import Clock

    frames = drive(6)
    write_bag(frames, tmp_path / 'bag')
    peer = Peer(domain := new_domain())
    try:
        clouds, clock = peer.listen(PointCloud2, '/lidar/points'), peer.listen(Clock, '/clock')
        latched = peer.listen(TransformStamped, '/cam_0/extrinsics', LATCHED)
        player = start_player(tmp_path / 'bag', domain, tmp_path, '-p', 'start_s:=0.25', '-p', 'clock:=true',
                              '-p', 'loop:=true', '-p', 'wait_for:=["/lidar/points", "/clock"]')
        peer.until(lambda: len(clouds) >= 8 and latched, 'two rounds')
        assert player.stop() == 0, player.log
    finally:
        peer.close()
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in clouds]
    recorded = [frame.cloud.stamp_ns for frame in frames]
    from_middle = [s for s in recorded if s > stamps[0] - 1]
    assert 0 < len(from_middle) < 6
    assert stamps[:2 * len(from_middle)] == from_middle * 2
    times = [m.clock.sec * 10**9 + m.clock.nanosec for m in clock]
    assert recorded[0] < times[0] < recorded[-1] + 10**9
    assert sum(later < earlier for earlier, later in zip(times, times[1:], strict=False)) >= 1, 'it loops'
