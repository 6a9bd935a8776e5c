"""10,000 messages nobody should send: each is read or refused with a reason; never another error, hang or leak."""

from __future__ import annotations

import resource
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, Camera, CameraView, Frame
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.geometry.compensation import SweepTiming, compensate, sweep_times
from sam2amml_core.geometry.motion import PoseBuffer
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY
from sam2amml_core.io.cdr import read_stamp
from sam2amml_core.io.images import CHANNELS, decode_compressed, decode_image
from sam2amml_core.io.pointcloud2 import as_structured, decode, encode_labelled
from sam2amml_core.segmenter import Segmenter

CLOUDS, DAMAGED_CLOUDS, IMAGES, CAMERAS, BYTES = 1000, 5000, 2000, 1500, 500
FLAT_MB = 8
"""Memory may grow by this over thousands of messages."""

LIMITS: dict[str, Any] = {'deadline': None, 'suppress_health_check': list(HealthCheck), 'database': None}
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 2, 65535, 2**31 - 1, 2**31, 2**32 - 1]))
STEPS = st.one_of(st.integers(0, 64), st.sampled_from([0, 16, 32, 2**31, 2**32 - 1]))
NUMBERS = st.one_of(st.floats(width=64), st.sampled_from([0.0, 1.0, 1e-300, 1e300, -1.0, 400.0]))
NAMES = st.sampled_from(['intensity', 'ring', 'time', 't', 'class_id', 'probability', 'source', '', 'x', 'tag'])


@st.composite
def clouds(draw: st.DrawFn) -> SimpleNamespace:
    """A good cloud of any layout, with up to three things wrong with it."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from([7, 7, 8]))
    size = 4 if kind == 7 else 8
    fields = [SimpleNamespace(name=axis, offset=size * i, datatype=kind, count=1) for i, axis in enumerate('xyz')]
    end = 3 * size
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        datatype = draw(st.integers(1, 8))
        fields.append(SimpleNamespace(name=name, offset=end, datatype=datatype, count=draw(st.integers(0, 2))))
        end += 16
    step = end + draw(st.integers(0, 9))
    row_step = width * step + draw(st.sampled_from([0, 0, 1, 13]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = random.integers(0, 256, height * row_step, np.uint8)
    if draw(st.booleans()):  # coordinates of a LiDAR instead of noise
        data[:len(data) // 4 * 4].view('<f4')[:] = random.normal(0, 15, len(data) // 4)
    stamp = SimpleNamespace(sec=draw(st.integers(-2**31, 2**31 - 1)), nanosec=draw(st.integers(0, 2**32 - 1)))
    message = SimpleNamespace(header=SimpleNamespace(stamp=stamp, frame_id='lidar'), height=height, width=width,
                              fields=fields, is_bigendian=draw(st.booleans()), point_step=step, row_step=row_step,
                              data=data.tobytes(), is_dense=draw(st.booleans()))
    for what in draw(st.lists(st.sampled_from(['height', 'width', 'point_step', 'row_step', 'data', 'field', 'names']),
                              max_size=3)):
        if what == 'data':
            message.data = message.data[:draw(st.integers(0, len(message.data)))]
        elif what == 'names':
            message.fields = message.fields[draw(st.integers(0, 3)):]
        elif what == 'field' and message.fields:
            field = draw(st.sampled_from(message.fields))
            setattr(field, draw(st.sampled_from(['offset', 'datatype', 'count'])), draw(SIZES))
        elif what != 'field':
            setattr(message, what, draw(SIZES))
    return message


@pytest.fixture(scope='module')
def segmenter(bundle: Path) -> Segmenter:  # noqa: F811
    return Segmenter.open(bundle, 'cpu', threads=1)


def resident_mb() -> float:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() * 1e-6


def damaged(message: SimpleNamespace, random: np.random.Generator) -> SimpleNamespace:
    """The message with some bytes and one number of its layout replaced."""
    data = np.frombuffer(message.data, np.uint8).copy()
    if len(data):
        data[random.integers(0, len(data), 1 + len(data) // 20)] = random.integers(0, 256)
    changed = SimpleNamespace(**{**vars(message), 'data': data.tobytes()})
    what = random.choice(['height', 'width', 'point_step', 'row_step', 'nothing', 'nothing'])
    if what != 'nothing':
        setattr(changed, what, int(random.choice([0, 1, 5, 24, 300, 2**31, 2**32 - 1])))
    return changed


def read_cloud(message: SimpleNamespace, segmenter: Segmenter) -> bool:
    """Everything the node does with a cloud; False when it is refused."""
    with np.errstate(all='ignore'):
        try:
            cloud = decode(message)
        except InputError as error:
            assert len(str(error)) > 20
            return False
        assert len(cloud) == message.height * message.width
        labels = segmenter.segment(Frame(cloud))
        assert labels.class_id.shape == labels.probability.shape == (len(cloud),)
        assert (labels.class_id[~np.isfinite(cloud.xyz).all(axis=1)] == UNKNOWN).all()
        named, step, data = encode_labelled(message, labels.class_id, labels.probability)
        back = SimpleNamespace(**{**vars(message), 'fields': named, 'point_step': step,
                                  'row_step': step * message.width, 'data': data.tobytes()})
        assert np.array_equal(as_structured(back)['class_id'].ravel(), labels.class_id)
        camera = Camera('c', 64, 48, np.array([[50.0, 0, 32, 0], [0, 50, 24, 0], [0, 0, 1, 0]]), OPTICAL_FROM_BODY)
        assert abs(sweep_times(cloud, SweepTiming('end', 0.1)).middle_ns - cloud.stamp_ns) < 2e16
        poses = PoseBuffer()
        poses.add(cloud.stamp_ns, np.eye(4), np.array([1.0, 0, 0, 0, 0, 0.1]))
        view = CameraView(camera, np.zeros((48, 64, 3), np.uint8), cloud.stamp_ns)
        result = compensate(cloud, [view], poses, SweepTiming())
        assert in_image(project(result.xyz, result.cameras)[0].uv, camera)
    return True


def test_hostile_clouds_are_labelled_or_refused_with_a_reason_and_memory_stays_flat(segmenter: Segmenter) -> None:
    kept: list[SimpleNamespace] = []
    read = 0

    @settings(max_examples=CLOUDS, **LIMITS)
    @given(clouds())
    def check(message: SimpleNamespace) -> None:
        nonlocal read
        if len(kept) < 200:
            kept.append(message)
        read += read_cloud(message, segmenter)

    check()
    assert CLOUDS // 5 < read < CLOUDS, 'some can be read and some not, or the test tests nothing'
    random = np.random.default_rng(0)
    before = 0.0
    for number in range(DAMAGED_CLOUDS):
        if number == DAMAGED_CLOUDS // 5:
            before = resident_mb()
        read_cloud(damaged(kept[number % len(kept)], random), segmenter)
    assert resident_mb() - before < FLAT_MB


def in_image(uv: np.ndarray, camera: Camera) -> bool:
    return bool(((uv >= 0) & (uv < (camera.width, camera.height))).all())


def test_hostile_images_are_decoded_or_refused_with_a_reason() -> None:
    @settings(max_examples=IMAGES, **LIMITS)
    @given(SIZES, SIZES, STEPS, st.sampled_from([*CHANNELS, 'bayer_rggb8', '', '32FC1', 'rgb16']), st.integers(0, 255),
           st.binary(max_size=300), st.booleans())
    def check(height: int, width: int, step: int, encoding: str, order: int, data: bytes, compressed: bool) -> None:
        message = SimpleNamespace(height=height, width=width, step=step, encoding=encoding, is_bigendian=order,
                                  data=data, format=encoding)
        try:
            pixels = decode_compressed(message) if compressed else decode_image(message)
        except InputError as error:
            assert len(str(error)) > 20
            return
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        assert compressed or pixels.shape[:2] == (height, width)
        int(pixels.sum())  # every byte can be touched

    check()


@st.composite
def infos(draw: st.DrawFn) -> SimpleNamespace:
    k = draw(st.one_of(st.just([400.0, 0, 320, 0, 400, 180, 0, 0, 1]), st.lists(NUMBERS, max_size=9)))
    if draw(st.booleans()) and len(k) == 9:
        k[draw(st.integers(0, 8))] = draw(NUMBERS)
    p = draw(st.one_of(st.just([*k[:3], 0, *k[3:6], 0, *k[6:], 0]), st.lists(NUMBERS, max_size=12)))
    region = SimpleNamespace(x_offset=draw(SIZES), y_offset=draw(SIZES), width=draw(SIZES), height=draw(SIZES))
    model = draw(st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'thin_prism']))
    d = draw(st.one_of(st.lists(st.floats(-2, 2), max_size=9), st.lists(NUMBERS, max_size=14)))
    return SimpleNamespace(width=draw(SIZES), height=draw(SIZES), k=k, p=p, d=d, distortion_model=model, roi=region,
                           binning_x=draw(SIZES), binning_y=draw(SIZES))


def test_hostile_calibrations_give_a_camera_or_a_reason() -> None:
    xyz = np.random.default_rng(0).normal(0, 10, (200, 3)).astype(np.float32)
    read = 0

    @settings(max_examples=CAMERAS, **LIMITS)
    @given(infos(), st.booleans())
    def check(info: SimpleNamespace, rectified: bool) -> None:
        nonlocal read
        with np.errstate(all='ignore'):
            try:
                camera = camera_from_info(info, OPTICAL_FROM_BODY, 'c', rectified)
                points = project(xyz, [camera])[0]
            except InputError as error:
                assert 'c' in str(error) and len(str(error)) > 20
                return
        read += 1
        assert in_image(points.uv, camera)

    check()
    assert read > CAMERAS // 50


def test_hostile_bytes_on_the_wire_are_refused_with_a_reason() -> None:
    pytest.importorskip('rclpy')
    from sensor_msgs.msg import PointCloud2

    from sam2amml_ros.collector import Collector
    from sam2amml_ros.conversions import deserialize_cloud
    from sam2amml_ros.sweep_input import SweepInput

    refused: list[str] = []
    matched: list[Any] = []
    sweeps = SweepInput(Collector({'left': 0}), matched.append, lambda kind, reason: refused.append(reason))
    sweeps.start()

    @settings(max_examples=BYTES, **LIMITS)
    @given(st.one_of(st.binary(max_size=80), st.builds(
        lambda head, sec, rest: head + struct.pack('<iI', sec, 5) + rest, st.sampled_from([b'\0\1\0\0', b'\0\0\0\0']),
        st.integers(-2**31, 2**31 - 1), st.binary(max_size=200))))
    def check(raw: bytes) -> None:
        sweeps.add_sweep(raw)
        sweeps.add_image('left', raw)
        try:
            read_stamp(raw)
            message = deserialize_cloud(raw)
        except InputError as error:
            assert len(str(error)) > 20
            return
        assert isinstance(message, PointCloud2)

    check()
    sweeps.stop()
    assert refused and matched
