"""PointCloud2 to numpy: ours against a numpy copy of each field, and against sensor_msgs_py where it is installed."""

from __future__ import annotations

import argparse
import json
from types import SimpleNamespace

import numpy as np
from _cloud_messages import make_message, ros_message
from _timing import median_ms

from sam2amml_core.io.pointcloud2 import TYPES, decode

WANTED = ('x', 'y', 'z', 'intensity', 't', 'ring')


def per_field(message: SimpleNamespace) -> dict[str, np.ndarray]:
    """What hand-written nodes do: the bytes of each field cut out of every point, copied and viewed as its type."""
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)
    columns = {}
    for field in message.fields:
        kind = np.dtype(TYPES[field.datatype])
        columns[field.name] = rows[:, field.offset:field.offset + kind.itemsize].copy().view(kind).ravel()
    return {'xyz': np.column_stack([columns[axis] for axis in 'xyz']).astype(np.float32),
            'intensity': np.clip(np.nan_to_num(columns['intensity']), 0, 1), 'ring': columns['ring'].astype(np.uint16),
            'time': (columns['t'] * 1e-9).astype(np.float32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--points', type=int, default=120_000)
    parser.add_argument('--repeats', type=int, default=30)
    options = parser.parse_args()
    message = make_message(options.points)
    cloud, reference = decode(message), per_field(message)
    for name, values in reference.items():
        np.testing.assert_allclose(getattr(cloud, name), values, rtol=1e-6, err_msg=name)
    mine = median_ms(lambda: decode(message), options.repeats)
    peer = median_ms(lambda: per_field(message), options.repeats)
    print(f'{options.points} points of {message.point_step} bytes: ours {mine:.2f} ms, '
          f'a copy of each field {peer:.2f} ms')
    try:
        from sensor_msgs_py.point_cloud2 import read_points

        real = ros_message(message)
        installed = median_ms(lambda: read_points(real, WANTED), options.repeats)
        print(f'sensor_msgs_py.read_points (a view of the six fields, nothing scaled or stacked): {installed:.2f} ms')
    except ImportError:
        print('sensor_msgs_py is not installed here')
    print(json.dumps({'name': 'cloud-decode', 'ours': round(mine, 3), 'peer': round(peer, 3),
                      'ratio': round(peer / mine, 2), 'unit': 'ms', 'n': options.points, 'threads': 1}))


if __name__ == '__main__':
    main()
