"""Labels into a PointCloud2: ours against copying field by field, and against sensor_msgs_py where it is installed."""

from __future__ import annotations

import argparse
import array
import json
from types import SimpleNamespace

import numpy as np
from _cloud_messages import make_message, ros_message
from _timing import median_ms

from sam2amml_core.io.pointcloud2 import TYPES, as_structured, encode_labelled

EXTRA = (('probability', '<f4'), ('class_id', 'u1'))


def ours(message: SimpleNamespace, class_id: np.ndarray, probability: np.ndarray) -> array.array:
    _, _, data = encode_labelled(message, class_id, probability)
    result = array.array('B')
    result.frombytes(data.data)
    return result


def per_field(message: SimpleNamespace, class_id: np.ndarray, probability: np.ndarray) -> array.array:
    """What hand-written nodes do: a packed structured array with two more fields, filled field by field."""
    kinds = [(field.name, TYPES[field.datatype]) for field in message.fields]
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)
    points = np.zeros(len(rows), np.dtype([*kinds, *EXTRA]))
    for field, (name, kind) in zip(message.fields, kinds, strict=True):
        size = np.dtype(kind).itemsize
        points[name] = rows[:, field.offset:field.offset + size].copy().view(kind).ravel()
    points['class_id'], points['probability'] = class_id, probability
    return array.array('B', points.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--points', type=int, default=120_000)
    parser.add_argument('--repeats', type=int, default=30)
    options = parser.parse_args()
    message = make_message(options.points)
    random = np.random.default_rng(1)
    class_id = random.integers(1, 20, options.points).astype(np.uint8)
    probability = random.random(options.points).astype(np.float32)
    fields, step, data = encode_labelled(message, class_id, probability)
    made = as_structured(SimpleNamespace(**{**vars(message), 'fields': fields, 'point_step': step, 'data': data,
                                            'row_step': step * options.points}))
    for name, values in (('class_id', class_id), ('probability', probability), ('z', as_structured(message)['z'][0])):
        np.testing.assert_array_equal(made[name][0], values)
    mine = median_ms(lambda: ours(message, class_id, probability), options.repeats)
    peer = median_ms(lambda: per_field(message, class_id, probability), options.repeats)
    print(f'{options.points} points of {message.point_step} bytes: ours {mine:.2f} ms, field by field {peer:.2f} ms')
    try:
        from sensor_msgs.msg import PointField
        from sensor_msgs_py.point_cloud2 import create_cloud

        real = ros_message(message)
        listed = [PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=1) for f in fields]
        points = made[0].copy()
        installed = median_ms(lambda: create_cloud(real.header, listed, points), options.repeats)  # type: ignore[attr-defined]
        print(f'sensor_msgs_py.create_cloud, of a structured array that was filled before: {installed:.2f} ms')
    except ImportError:
        print('sensor_msgs_py is not installed here')
    print(json.dumps({'name': 'cloud-encode', 'ours': round(mine, 3), 'peer': round(peer, 3),
                      'ratio': round(peer / mine, 2), 'unit': 'ms', 'n': options.points, 'threads': 1}))


if __name__ == '__main__':
    main()
