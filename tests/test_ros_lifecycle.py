"""The segmentation node's life: states, parameters, services and what it tells, in one process over real DDS."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the ROS tests need rclpy (extra [ros], or a ROS 2 installation)')

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.executors import Executor, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from ros_peer import Peer, cloud_message, new_domain
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import SetBool
from test_ros_node import PLAIN, camera_messages, points
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.frame import UNKNOWN
from sam2amml_core.io.pointcloud2 import as_structured
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_ros.label_info import class_map
from sam2amml_ros.lifecycle import ManagedNode
from sam2amml_ros.parameters import table
from sam2amml_ros.segmentation_node import SegmentationNode
from sam2amml_ros.transforms import LATCHED

NODE = '/segmentation_node'
INPUT, OUTPUT = f'{NODE}/input/pointcloud', f'{NODE}/output/segmentation'
ROOT = Path(__file__).parents[1]


class Running:
    """A node spun by an executor in a thread, in a context of its own."""

    def __init__(self, make: Callable[..., Any], domain: int, values: dict[str, Any], executor: type[Executor]) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = make(context=self._context, parameter_overrides=overrides)
        self._executor = executor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(10)
        self.node.close()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def peer(domain: int) -> Iterator[Peer]:
    found = Peer(domain)
    yield found
    found.close()


@pytest.fixture
def run(domain: int, peer: Peer, bundle: Path) -> Iterator[Callable[..., SegmentationNode]]:  # noqa: F811
    """Start a node with parameters; ``executor`` is the class that spins it."""
    running: list[Running] = []

    def start(executor: type[Executor] = SingleThreadedExecutor, **values: Any) -> SegmentationNode:
        values = {'model': str(bundle), 'threads': 1, 'diagnostics_period_s': 0.05, **values}
        running.append(Running(SegmentationNode, domain, values, executor))
        return running[-1].node

    yield start
    for one in running:
        one.close()


def call(peer: Peer, kind: Any, name: str, request: Any) -> Any:
    client: Any = peer.node.create_client(kind, name)
    peer.until(client.service_is_ready, f'service {name}')
    future = client.call_async(request)
    peer.until(future.done, f'an answer of {name}')
    return future.result()


def change(peer: Peer, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(call(peer, ChangeState, f'{NODE}/change_state', request).success)


def labelled(peer: Peer) -> PointCloud2:
    message = cloud_message(points(), PLAIN, step=16)
    return peer.ask(INPUT, message, PointCloud2, OUTPUT)


@pytest.mark.parametrize('executor', [SingleThreadedExecutor, MultiThreadedExecutor])
def test_the_node_goes_through_its_states_by_service_and_works_only_while_active(
        peer: Peer, run: Callable[..., SegmentationNode], executor: type[Executor]) -> None:
    node = run(executor)
    assert node.state == 'unconfigured'
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert node.state == 'inactive'
    model = node._segmenter
    assert peer.node.count_subscribers(INPUT) == 0, 'no subscription before it is active'
    for _ in range(2):
        assert change(peer, Transition.TRANSITION_ACTIVATE)
        assert labelled(peer).width == 6000
        assert node._segmenter is model, 'the model is loaded in configure, once'
        assert change(peer, Transition.TRANSITION_DEACTIVATE)
        peer.until(lambda: peer.node.count_subscribers(INPUT) == 0, 'the end of the subscription')
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert node.state == 'unconfigured'
    assert model is not None
    freed = weakref.ref(model)
    del model
    gc.collect()
    assert freed() is None, 'cleanup gives the model back'
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    assert labelled(peer).width == 6000
    assert change(peer, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert node.state == 'finalized'


@pytest.mark.parametrize(('values', 'reason'), [
    ({'overlay_rate': 1000.0}, 'parameter overlay_rate is 1000.0; give 0.01 to 100'),
    ({'threads': 0}, 'parameter threads is 0; give 1 to 64'),
    ({'threads': 'two'}, "parameter threads is 'two'; give int"),
    ({'model': 'no_such_model'}, 'no_such_model'),
    ({'sync_policy': 'roughly'}, "parameter sync_policy is 'roughly'; choose one of lidar_led, approximate, exact"),
    ({'filtered_classes': ['unicorn']}, "parameter filtered_classes has 'unicorn'; the model knows car"),
    ({'camera_names': ['a', 'b'], 'camera_offsets_ms': [1.0, 2.0, 3.0]}, '3 values for 2 cameras'),
    ({'cameras_off': ['left']}, 'parameter cameras_off has left, no camera of camera_names'),
])
def test_a_configuration_that_cannot_be_is_refused_with_name_value_and_range_and_can_be_corrected(
        run: Callable[..., SegmentationNode], bundle: Path, capfd: pytest.CaptureFixture[str],  # noqa: F811
        values: dict[str, Any], reason: str) -> None:
    node = run(**values)
    assert node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    assert node.state == 'unconfigured'
    heard = capfd.readouterr().err
    assert f'cannot configure: {reason}' in heard or reason in heard
    assert 'Traceback' not in heard
    good = {'overlay_rate': 2, 'threads': 1, 'model': str(bundle), 'sync_policy': 'lidar_led',
            'filtered_classes': ['car'], 'camera_offsets_ms': [1.0, 2.0], 'cameras_off': ['']}
    done = node.set_parameters([Parameter(name, value=good[name]) for name in values if name in good])
    assert [r.reason for r in done if not r.successful] == []
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_an_unforeseen_error_in_a_transition_is_logged_with_its_traceback(
        domain: int, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(ManagedNode):
        def __init__(self, **options: Any) -> None:
            super().__init__('broken', **options)

        def configure(self) -> None:
            raise ZeroDivisionError('nobody expected this')

    running = Running(Broken, domain, {}, SingleThreadedExecutor)
    try:
        assert running.node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert running.node.state == 'unconfigured'
        heard = capfd.readouterr().err
        assert 'cannot configure: Traceback' in heard
        assert 'ZeroDivisionError: nobody expected this' in heard
    finally:
        running.close()


def test_labelling_can_be_switched_off_and_on_by_service(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    node = run()
    node.start()
    labelled(peer)
    answers = peer.listen(PointCloud2, OUTPUT)
    reply = call(peer, SetBool, f'{NODE}/enable', SetBool.Request(data=False))
    assert (reply.success, reply.message) == (True, 'ignoring sweeps; the node is active')
    ignored = cloud_message(points(), PLAIN, step=16)
    peer.publish(INPUT, ignored)
    reply = call(peer, SetBool, f'{NODE}/enable', SetBool.Request(data=True))
    assert reply.message == 'labelling sweeps; the node is active'
    labelled(peer)
    assert not any(a.header == ignored.header for a in answers)
    assert node.dropped == 0


def test_parameters_that_may_change_do_and_others_are_refused_with_the_reason(
        peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    node = run()
    node.start()

    def reason(name: str, value: Any) -> str:
        return node.set_parameters([Parameter(name, value=value)])[0].reason

    assert reason('model', 'street32') == 'parameter model can be set only while the node is unconfigured; it is active'
    assert all(text in reason('confidence_threshold', 1.5) for text in ('confidence_threshold', '1.5', '1.0'))
    assert 'nan' in reason('confidence_threshold', float('nan'))
    assert reason('filtered_classes', ['unicorn']).startswith("parameter filtered_classes has 'unicorn'")
    assert reason('confidence_threshold', 0.7) == ''
    answer = as_structured(labelled(peer))
    certain = answer['probability'] >= 0.7  # the test network is sure of the road (0.9), not of buildings (0.6)
    assert (answer['class_id'][~certain] == UNKNOWN).all()
    assert {SEMANTIC_KITTI.names[i] for i in np.unique(answer['class_id'][certain])} == {'road'}
    assert (answer['probability'][~certain & (answer['probability'] > 0)] > 0.5).all(), 'the probability stays'
    assert (answer['source'] == 0).all(), 'the LiDAR alone said so'
    descriptor = node.describe_parameter('confidence_threshold')
    assert (descriptor.floating_point_range[0].from_value, descriptor.floating_point_range[0].to_value) == (0, 1)
    assert 'unknown' in descriptor.description


def test_chosen_classes_are_left_out_of_the_filtered_cloud(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    run(filtered_classes=['road']).start()
    message = cloud_message(points(), PLAIN, step=16)
    peer.listen(PointCloud2, OUTPUT)
    filtered = peer.ask(INPUT, message, PointCloud2, f'{NODE}/output/filtered')
    whole = as_structured(peer.ask(INPUT, message, PointCloud2, OUTPUT))
    kept = whole['class_id'].ravel() != SEMANTIC_KITTI.names.index('road')
    assert 0 < kept.sum() < len(kept)
    assert filtered.header == message.header
    assert [f.name for f in filtered.fields] == ['x', 'y', 'z', 'intensity']
    np.testing.assert_array_equal(as_structured(filtered).ravel(), as_structured(message).ravel()[kept])


def test_who_comes_late_still_hears_what_the_classes_mean(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    node = run()
    node.start()
    heard = peer.listen(String, f'{NODE}/output/class_map', LATCHED)
    peer.until(lambda: heard, 'the class map')
    content = json.loads(heard[0].data)
    assert node._segmenter is not None
    assert content == class_map(node._segmenter.bundle)
    assert content['unknown'] == UNKNOWN
    assert content['classes'][0] == {'id': 1, 'name': 'car', 'color': SEMANTIC_KITTI.colors[1].tolist()}
    assert len(content['classes']) == len(SEMANTIC_KITTI.names) - 1


class Diagnostics:
    """The latest entry of each kind."""

    def __init__(self, peer: Peer) -> None:
        self._heard = peer.listen(DiagnosticArray, '/diagnostics')

    def __call__(self, kind: str) -> tuple[bytes, str, dict[str, str]]:
        status: DiagnosticStatus
        for heard in reversed(self._heard):
            for status in heard.status:
                if status.name == f'segmentation_node: {kind}':
                    return status.level, status.message, {pair.key: pair.value for pair in status.values}
        return b'', '', {}


def test_diagnostics_tell_the_mode_calibration_engine_and_drops_even_while_ros_time_stands_still(
        peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    node = run(MultiThreadedExecutor, camera_names=['front', 'rear'], use_sim_time=True, max_processing_ms=5000.0)
    node.start()
    said = Diagnostics(peer)
    peer.until(lambda: said('synchronisation')[0] == DiagnosticStatus.ERROR, 'an error, since no sweep comes')
    assert 'no labelled sweep' in said('synchronisation')[1]
    cameras = ['front', 'rear']

    def drive() -> None:
        message = cloud_message(points(), PLAIN, step=16)
        image, info, pose = camera_messages(message)
        for name in cameras:
            info.header.frame_id = pose.child_frame_id = f'{name}_optical'
            peer.publish(f'{NODE}/input/{name}/extrinsics', pose, LATCHED)
            peer.publish(f'{NODE}/input/{name}/camera_info', info)
            peer.publish(f'{NODE}/input/{name}/image', image)
        peer.publish(INPUT, message)

    peer.until(lambda: said('synchronisation')[2].get('mode') == 'full', 'full', drive, 0.05)
    level, message, values = said('synchronisation')
    assert (level, message) == (DiagnosticStatus.OK, 'full')
    assert values['front/is_fused'] == 'True'
    assert abs(float(values['front/timestamp_interval_ms'])) < 1
    peer.until(lambda: said('calibration')[0] == DiagnosticStatus.OK, 'calibrated cameras', drive, 0.05)
    assert said('processing')[2]['is_processing_time_ms_in_expected_range'] == 'True'
    assert float(said('processing')[2]['processing_time_ms']) > 0
    assert 'height' in said('engine')[2]['model']
    cameras.remove('rear')
    peer.until(lambda: said('synchronisation')[2].get('mode') == 'degraded', 'degraded', drive, 0.05)
    level, message, values = said('synchronisation')
    assert level == DiagnosticStatus.WARN
    assert 'no image of rear' in message
    assert int(values['rear/sweeps_missed']) > 0
    node.set_parameters([Parameter('cameras_off', value=['rear'])])
    peer.until(lambda: said('synchronisation')[1] == 'full', 'full without the camera switched off', drive, 0.05)
    cameras.clear()
    peer.until(lambda: said('synchronisation')[2].get('mode') == 'lidar_only', 'lidar_only', drive, 0.05)
    empty = cloud_message(points(0), PLAIN, step=16)
    peer.until(lambda: 'reason/sweep' in said('processing')[2], 'a drop', lambda: peer.publish(INPUT, empty))
    assert 'cloud is empty' in said('processing')[2]['reason/sweep']
    assert int(said('processing')[2]['dropped/sweep']) > 0
    peer.until(lambda: said('processing')[0] == DiagnosticStatus.WARN, 'a warning', lambda: peer.publish(INPUT, empty))
    assert 'sweeps were not labelled since the last report: cloud is empty' in said('processing')[1]


def test_an_uncalibrated_camera_and_a_body_frame_are_named_with_the_remedy(
        peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    run(camera_names=['front']).start()
    said = Diagnostics(peer)
    peer.listen(Image, f'{NODE}/debug/front/overlay')
    fault = 'intrinsics'

    def drive() -> None:
        message = cloud_message(points(), PLAIN, step=16)
        image, info, pose = camera_messages(message)
        if fault == 'intrinsics':
            info.k = np.zeros(9)
        else:
            turn = pose.transform.rotation
            turn.x, turn.y, turn.z, turn.w = 0.0, 0.0, 0.0, 1.0
        peer.publish(f'{NODE}/input/front/extrinsics', pose, LATCHED)
        peer.publish(f'{NODE}/input/front/camera_info', info)
        peer.publish(f'{NODE}/input/front/image', image)
        peer.publish(INPUT, message)

    peer.until(lambda: 'not calibrated (CameraInfo K[0] is 0); calibrate it' in said('calibration')[1], 'a word', drive,
               0.1)
    assert said('calibration')[0] == DiagnosticStatus.WARN
    fault = 'frame'
    peer.until(lambda: 'give the optical frame' in said('calibration')[1], 'a word about the frame', drive, 0.1)
    peer.until(lambda: int(said('processing')[2].get('dropped/overlay of front', 0)) > 0, 'a counted drop', drive, 0.1)


def test_odometry_brings_points_to_the_time_of_the_image(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    pytest.importorskip('sam2amml_core.viz')
    run(camera_names=['front'], overlay_rate=50.0).start()
    said = Diagnostics(peer)
    overlays = peer.listen(Image, f'{NODE}/debug/front/overlay')

    def drive() -> None:
        message = cloud_message(points(), PLAIN, step=16)
        image, info, pose = camera_messages(message)
        odometry = Odometry(child_frame_id=message.header.frame_id)
        odometry.header.stamp, odometry.header.frame_id = message.header.stamp, 'odom'
        odometry.pose.pose.orientation.w = 1.0
        odometry.twist.twist.linear.x = 10.0
        peer.publish(f'{NODE}/input/odometry', odometry)
        peer.publish(f'{NODE}/input/front/extrinsics', pose, LATCHED)
        peer.publish(f'{NODE}/input/front/camera_info', info)
        peer.publish(f'{NODE}/input/front/image', image)
        peer.publish(INPUT, message)

    peer.until(lambda: overlays and said('calibration')[2].get('points_brought_to_images_by') == 'ego_motion',
               'ego motion', drive, 0.1)


def test_the_quality_of_service_of_sensors_can_be_overridden(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    cameras = {'camera_names': ['front'], 'image_transport': 'compressed'}
    image = f'{NODE}/input/front/image/compressed'
    run(**cameras, **{f'qos_overrides.{INPUT}.subscription.reliability': 'reliable',
                      f'qos_overrides.{INPUT}.subscription.depth': 1}).start()
    peer.until(lambda: peer.node.count_subscribers(INPUT) and peer.node.count_subscribers(image), 'subscriptions')
    assert peer.node.get_subscriptions_info_by_topic(INPUT)[0].qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert peer.node.get_subscriptions_info_by_topic(image)[0].qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_compressed_images_are_put_to_sweeps(peer: Peer, run: Callable[..., SegmentationNode]) -> None:
    run(camera_names=['front'], image_transport='compressed').start()
    said = Diagnostics(peer)

    def drive() -> None:
        message = cloud_message(points(), PLAIN, step=16)
        image = CompressedImage(format='jpeg', data=array('B', b'never decoded unless somebody looks'))
        image.header.stamp = message.header.stamp
        peer.publish(f'{NODE}/input/front/image/compressed', image)
        peer.publish(INPUT, message)

    peer.until(lambda: said('synchronisation')[2].get('mode') == 'full', 'full', drive, 0.05)


def test_the_table_of_parameters_in_the_documents_is_the_one_of_the_node() -> None:
    assert (ROOT / 'docs' / 'parameters.md').read_text() == table(), 'run python -m sam2amml_ros.parameters'


def test_the_parameter_file_has_every_parameter_with_its_default() -> None:
    import yaml

    from sam2amml_ros.parameters import PARAMETERS

    written = yaml.safe_load((ROOT / 'config' / 'segmentation.param.yaml').read_text())['/**']['ros__parameters']
    assert written == {parameter.name: parameter.default for parameter in PARAMETERS}
