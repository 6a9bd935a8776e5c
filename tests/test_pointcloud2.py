"""PointCloud2 messages of every layout to numpy and back."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.io.pointcloud2 import Field, as_structured, decode, encode_labelled, scale_intensity

XYZI = [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')]
CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


def message(points: np.ndarray, row_padding: int = 0, big: bool = False, stamp_s: int = 100) -> SimpleNamespace:
    """A message of a structured array [height, width] (any byte order)."""
    points = np.atleast_2d(points)
    height, width = points.shape
    step = points.dtype.itemsize
    rows = np.full((height, width * step + row_padding), 0xAB, np.uint8)
    rows[:, :width * step] = np.ascontiguousarray(points).view(np.uint8).reshape(height, -1)
    fields = [SimpleNamespace(name=name, offset=offset, datatype=CODES[kind.base.str[1:]],
                              count=int(np.prod(kind.shape)) or 1)
              for name, (kind, offset, *_) in (points.dtype.fields or {}).items()]
    header = SimpleNamespace(stamp=SimpleNamespace(sec=stamp_s, nanosec=5), frame_id='top')
    return SimpleNamespace(header=header, height=height, width=width, fields=fields, is_bigendian=big, point_step=step,
                           row_step=rows.shape[1], data=rows.tobytes())


def cloud(count: int, dtype: list | np.dtype = XYZI, shape: tuple[int, ...] | None = None) -> np.ndarray:
    random = np.random.default_rng(1)
    points = np.zeros(count, dtype)
    for name in points.dtype.names or ():
        points[name] = random.uniform(0, 1, points[name].shape) if points[name].dtype.kind == 'f' else \
            random.integers(0, 100, points[name].shape)
    return points if shape is None else points.reshape(shape)


def test_plain_cloud_comes_out_as_it_is() -> None:
    points = cloud(50)
    result = decode(message(points))
    assert np.array_equal(result.xyz, np.stack([points[axis] for axis in 'xyz'], axis=1))
    assert np.array_equal(result.intensity, points['intensity'])
    assert (result.stamp_ns, result.frame_id, result.ring, result.time) == (100_000_000_005, 'top', None, None)


def test_fields_are_found_by_name_not_by_place() -> None:
    shuffled = [('ring', '<u2'), ('z', '<f4'), ('time', '<f4'), ('i', 'u1'), ('x', '<f4'), ('pad', '<f4', (2,)),
                ('y', '<f4')]
    points = cloud(20, shuffled)
    result = decode(message(points))
    assert np.array_equal(result.xyz, np.stack([points[axis] for axis in 'xyz'], axis=1))
    assert result.ring is not None and np.array_equal(result.ring, points['ring'])
    assert result.time is not None and np.array_equal(result.time, points['time'])
    assert np.allclose(result.intensity, points['i'] / 255, atol=1e-6)


@pytest.mark.parametrize('big', [False, True])
def test_organised_padded_and_big_endian_clouds_agree_with_the_plain_one(big: bool) -> None:
    points = cloud(24, np.dtype(XYZI).newbyteorder('>' if big else '<'), (4, 6))
    result = decode(message(points, row_padding=10, big=big))
    assert np.allclose(result.xyz[7], [points['x'][1, 1], points['y'][1, 1], points['z'][1, 1]])
    assert np.array_equal(result.intensity, points['intensity'].ravel())
    assert result.xyz.dtype == np.dtype(np.float32) and result.xyz.dtype.isnative


def test_double_coordinates_are_read() -> None:
    points = cloud(5, [('x', '<f8'), ('y', '<f8'), ('z', '<f8')])
    result = decode(message(points))
    assert np.allclose(result.xyz[:, 1], points['y'])
    assert not result.intensity.any()


def test_nan_points_stay_in_their_place() -> None:
    points = cloud(6)
    points['x'][2] = np.nan
    points['z'][4] = np.inf
    xyz = decode(message(points)).xyz
    assert np.isnan(xyz[2, 0]) and np.isinf(xyz[4, 2]) and len(xyz) == 6


@pytest.mark.parametrize(('values', 'expected'), [
    (np.array([0, 255], np.uint8), [0, 1]), (np.array([0, 65535], np.uint16), [0, 1]),
    (np.array([0, 0.5, 1], np.float32), [0, 0.5, 1]), (np.array([0, 51, 255], np.float32), [0, 0.2, 1]),
    (np.array([65535, np.nan, -3], np.float32), [1, 0, 0]),
])
def test_intensity_comes_to_0_1(values: np.ndarray, expected: list[float]) -> None:
    assert np.allclose(scale_intensity(values), expected)


def test_intensity_scale_can_be_given() -> None:
    assert np.allclose(scale_intensity(np.array([0.5, 50], np.float32), 100.0), [0.005, 0.5])
    with pytest.raises(InputError, match='intensity_scale'):
        scale_intensity(np.zeros(1, np.float32), 0.0)


@pytest.mark.parametrize(('name', 'kind', 'values', 'seconds'), [
    ('t', '<u4', [0, 50_000_000], [0, 0.05]),  # Ouster: nanoseconds after the stamp
    ('offset_time', '<u4', [0, 99_000_000], [0, 0.099]),  # Livox
    ('time', '<f4', [0, 0.1], [0, 0.1]),  # Velodyne
    ('timestamp', '<f8', [1.7e9, 1.7e9 + 0.1], [0, 0.1]),  # Hesai, RoboSense: absolute seconds
])
def test_time_is_seconds_after_the_stamp(name: str, kind: str, values: list[float], seconds: list[float]) -> None:
    points = cloud(2, [*XYZI, (name, kind)])
    points[name] = values
    sent = message(points, stamp_s=1_700_000_000)
    sent.header.stamp.nanosec = 0
    time = decode(sent).time
    assert time is not None and np.allclose(time, seconds, atol=1e-6)


@pytest.mark.parametrize('axis', ['x', 'y', 'z'])
def test_missing_coordinate_is_named(axis: str) -> None:
    sent = message(cloud(3))
    sent.fields = [field for field in sent.fields if field.name != axis]
    with pytest.raises(InputError, match=f"no field '{axis}'"):
        decode(sent)


def test_bad_messages_are_refused_by_name() -> None:
    def broken(**changes: object) -> SimpleNamespace:
        return SimpleNamespace(**{**vars(message(cloud(8, shape=(2, 4)))), **changes})

    with pytest.raises(InputError, match='truncated'):
        decode(broken(data=b'\0' * 100))
    with pytest.raises(InputError, match='empty'):
        decode(broken(width=0, data=b''))
    with pytest.raises(InputError, match='point_step'):
        decode(broken(point_step=8))
    with pytest.raises(InputError, match='row_step'):
        decode(broken(row_step=20))
    fields = [Field('x', 0, 7), Field('y', 4, 7), Field('z', 8, 7), Field('weird', 12, 42)]
    with pytest.raises(InputError, match="'weird'.*unknown datatype 42"):
        decode(broken(fields=fields))
    with pytest.raises(InputError, match="'x'.*FLOAT32"):
        decode(broken(fields=[Field('x', 0, 4), *fields[1:3]]))


def test_all_nan_cloud_is_refused() -> None:
    points = cloud(9)
    points['y'] = np.nan
    with pytest.raises(InputError, match='no finite point'):
        decode(message(points))


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('dtype', [
    XYZI,
    [*XYZI, ('ring', '<u2'), ('time', '<f4')],  # packed, 22 bytes
    np.dtype({'names': ['x', 'y', 'z', 'intensity'], 'formats': ['<f4'] * 4, 'offsets': [0, 4, 8, 16], 'itemsize': 32}),
])
def test_labels_are_added_and_everything_else_stays(dtype: list | np.dtype, big: bool) -> None:
    points = cloud(12, np.dtype(dtype).newbyteorder('>' if big else '<'), (3, 4))
    points['x'][1, 1] = np.nan
    sent = message(points, row_padding=3, big=big)
    class_id = np.arange(12, dtype=np.uint8)
    probability = np.linspace(0, 1, 12, dtype=np.float32)
    source = np.arange(12, dtype=np.uint8) % 3
    fields, step, data = encode_labelled(sent, class_id, probability, source)
    back = SimpleNamespace(**{**vars(sent), 'fields': fields, 'point_step': step, 'row_step': 4 * step, 'data': data})
    labelled = as_structured(back)
    names = points.dtype.names or ()
    assert [field.name for field in fields] == [*names, 'class_id', 'probability', 'source']
    for name in names:
        assert labelled[name].tobytes() == points[name].tobytes(), name
    assert np.array_equal(labelled['class_id'].ravel(), class_id)
    assert np.array_equal(labelled['probability'].ravel(), probability)
    assert np.array_equal(labelled['source'].ravel(), source)
    assert next(field for field in fields if field.name == 'probability').offset % 4 == 0


def test_padding_at_the_end_of_a_point_is_used() -> None:
    padded = np.dtype({'names': ['x', 'y', 'z', 'intensity'], 'formats': ['<f4'] * 4, 'offsets': [0, 4, 8, 16],
                       'itemsize': 32})
    assert encode_labelled(message(cloud(3, padded)), np.zeros(3, np.uint8), np.zeros(3, np.float32))[1] == 32


def test_labelling_twice_replaces_the_labels() -> None:
    sent = message(cloud(4))
    fields, step, data = encode_labelled(sent, np.ones(4, np.uint8), np.ones(4, np.float32))
    again = SimpleNamespace(**{**vars(sent), 'fields': fields, 'point_step': step, 'row_step': 4 * step, 'data': data})
    fields, second_step, data = encode_labelled(again, np.full(4, 7, np.uint8), np.zeros(4, np.float32))
    names = [field.name for field in fields]
    assert second_step == step and [names.count(n) for n in ('class_id', 'probability', 'source')] == [1, 1, 1]
    again.fields, again.data = fields, data
    assert (as_structured(again)['class_id'] == 7).all()
    assert (as_structured(again)['source'] == 0).all()


def test_labels_of_another_cloud_are_refused() -> None:
    with pytest.raises(InputError, match='class_id'):
        encode_labelled(message(cloud(4)), np.zeros(3, np.uint8), np.zeros(4, np.float32))
