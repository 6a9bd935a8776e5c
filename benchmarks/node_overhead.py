"""What the node adds to the network: decode, preprocess, postprocess, encode and publish of a sweep of 120,000 points.

Real processes over real DDS; the node's own times (``~/debug/processing_time``), total minus inference. First without
cameras, then with six of 1600 x 900 at 10 Hz, whose images the node receives and puts to sweeps.
The targets are p99 <= 10 ms without cameras and <= 25 ms with six.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Float64, Header

from sam2amml_ros.conversions import byte_array
from sam2amml_ros.faults import messages
from sam2amml_ros.faults.rig import NODE, NodeUnderTest, Peer
from sam2amml_ros.stages import stage_topic

COLUMNS = 3750
"""Of 32 beams: 120,000 points."""

HERTZ = 5.0
WIDTH, HEIGHT = 1600, 900
STAGES = ('sync_wait', 'decode', 'preprocess', 'inference', 'postprocess', 'encode', 'publish', 'total')


def measure(model: str, cameras: int, sweeps: int, folder: Path) -> dict[str, np.ndarray]:
    """Times of every stage in ms, one for each labelled sweep."""
    names = tuple(f'camera{i}' for i in range(cameras))
    listed = '[' + ', '.join(f"'{name}'" for name in names or ('',)) + ']'
    domain = 1 + (os.getpid() + cameras) % 101
    peer = Peer(domain, names)
    node = NodeUnderTest('segmentation_node', {'model': model, 'threads': '1', 'camera_names': listed}, domain,
                         folder / f'node{cameras}.log')
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
    for stage in STAGES:
        topic = NODE + stage_topic(stage)[1:]
        peer.node.create_subscription(Float64, topic, lambda m, to=times[stage]: to.append(m.data), reliable)
    try:
        peer.wait(lambda: peer.readers_found, 'the start of the node')
        peer.spin(time.monotonic() + 1.0)
        points = messages.sweep(COLUMNS)
        image = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=3 * WIDTH,
                      data=byte_array(np.full(3 * WIDTH * HEIGHT, 90, np.uint8)))
        start = time.monotonic() + 0.1
        cloud = messages.cloud(0, points)
        for number in range(sweeps + 5):
            due = start + number / HERTZ
            peer.spin(due)
            stamp = 1_700_000_000_000_000_000 + round(1e9 * number / HERTZ)
            for half in (0.0, 0.1):
                peer.spin(due + half)
                for name in names:
                    image.header = Header(stamp=messages.time_message(stamp + round(1e9 * half) - 50_000_000))
                    peer.send_image(name, image)
            cloud.header.stamp = messages.time_message(stamp)
            peer.send_cloud(cloud)
        peer.spin(time.monotonic() + 1.5)
    finally:
        node.stop()
        peer.close()
    count = min(map(len, times.values()))
    return {stage: np.array(found[min(5, count):count]) for stage, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='street64')
    parser.add_argument('--sweeps', type=int, default=150)
    options = parser.parse_args()
    overhead = {}
    with tempfile.TemporaryDirectory() as folder:
        for cameras in (0, 6):
            times = measure(options.model, cameras, options.sweeps, Path(folder))
            overhead[cameras] = times['total'] - times['inference']
            stages = ', '.join(f'{stage} {np.median(times[stage]):.2f}' for stage in STAGES)
            median, p99 = np.percentile(overhead[cameras], [50, 99])
            print(f'{cameras} cameras, {len(times["total"])} sweeps: overhead median {median:.2f}, p99 {p99:.2f} ms; '
                  f'medians: {stages}')
    alone, six = (round(float(np.percentile(overhead[count], 99)), 2) for count in (0, 6))
    print(json.dumps({'name': 'node overhead p99', 'ours': alone, 'peer': None, 'ratio': None, 'unit': 'ms',
                      'n': 32 * COLUMNS, 'threads': 1, 'with_six_cameras': six}))


if __name__ == '__main__':
    main()
