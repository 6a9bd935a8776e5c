"""Share of large messages that arrive, best effort, between two processes: our Fast DDS profile against the default.

One 3.1 MB cloud and two 1.4 MB images at 10 Hz, as a driver sends them, into subscriptions of depth 5. With
``--images 6 --image-bytes 4320000 --cloud-bytes 1900000 --cycles 600``: six cameras of 1600 x 900 for a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from sam2amml_ros.transport import PROFILE_VARIABLE, environment

HZ = 10


def topics(images: int) -> list[str]:
    return ['points', *(f'image_{index}' for index in range(images))]


def receive(images: int, seconds: float) -> None:
    """Count messages of all topics until the sender is done; print counts and latencies as JSON."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Empty

    from sam2amml_core.io.cdr import read_stamp

    rclpy.init()
    node = rclpy.create_node('receiver')
    latencies: list[float] = []
    done: list[object] = []

    def arrived(raw: bytes) -> None:
        latencies.append(1e-6 * (time.time_ns() - read_stamp(raw)))

    for topic in topics(images):
        node.create_subscription(Image, topic, arrived, qos_profile_sensor_data, raw=True)
    node.create_subscription(Empty, 'done', done.append, 1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + seconds
    while not done and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    latencies.sort()
    middle = latencies[len(latencies) // 2] if latencies else None
    print(json.dumps({'arrived': len(latencies), 'median_ms': middle, 'max_ms': latencies[-1] if latencies else None}))


def send(images: int, sizes: tuple[int, int], cycles: int) -> int:
    """Publish when all topics have their subscriber; returns the number of messages."""
    import array

    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Empty

    rclpy.init()
    node = rclpy.create_node('sender')
    publishers = [node.create_publisher(Image, topic, qos_profile_sensor_data) for topic in topics(images)]
    finished = node.create_publisher(Empty, 'done', 1)
    messages = [Image(data=array.array('B', bytes(size))) for size in (sizes[0], *[sizes[1]] * images)]
    while not all(p.get_subscription_count() for p in (*publishers, finished)):
        time.sleep(0.05)
    time.sleep(1.0)
    start = time.monotonic()
    for cycle in range(cycles):
        time.sleep(max(0.0, start + cycle / HZ - time.monotonic()))
        for publisher, message in zip(publishers, messages, strict=True):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 1_000_000_000)
            publisher.publish(message)
    time.sleep(1.0)
    finished.publish(Empty())
    time.sleep(0.5)
    return cycles * len(publishers)


def measure(name: str, changes: dict[str, str], options: argparse.Namespace, domain: int) -> float:
    """Percent that arrived under an environment."""
    env = environment(domain, own_profile=False)
    env.pop(PROFILE_VARIABLE, None)
    env |= changes
    command = [sys.executable, __file__, '--cycles', str(options.cycles), '--images', str(options.images),
               '--cloud-bytes', str(options.cloud_bytes), '--image-bytes', str(options.image_bytes)]
    receiver = subprocess.Popen([*command, '--role', 'receive'], env=env, stdout=subprocess.PIPE, text=True)
    sender = subprocess.run([*command, '--role', 'send'], env=env, check=True, stdout=subprocess.PIPE, text=True)
    sent = int(sender.stdout)
    result = json.loads(receiver.communicate()[0].strip().splitlines()[-1])
    latency = 'none arrived' if result['median_ms'] is None else (
        f'median {result["median_ms"]:.1f} ms, longest {result["max_ms"]:.1f} ms')
    print(f'{name}: {result["arrived"]} of {sent} arrived, {latency}', flush=True)
    return 100 * result['arrived'] / sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cycles', type=int, default=60)
    parser.add_argument('--images', type=int, default=2)
    parser.add_argument('--cloud-bytes', type=int, default=3_145_728)
    parser.add_argument('--image-bytes', type=int, default=1_397_250)
    parser.add_argument('--only', choices=('default', 'large', 'ours'), help='one of the three transports')
    parser.add_argument('--role', choices=('both', 'send', 'receive'), default='both')
    parser.add_argument('--profile', default=environment()[PROFILE_VARIABLE], help='XML file of our transports')
    options = parser.parse_args()
    if options.role == 'receive':
        receive(options.images, 30 + options.cycles / HZ)
    elif options.role == 'send':
        print(send(options.images, (options.cloud_bytes, options.image_bytes), options.cycles))
    else:
        domain = 1 + os.getpid() % 100
        transports = {'default': ('default transports', {}),
                      'large': ('LARGE_DATA', {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}),
                      'ours': ('our profile', {PROFILE_VARIABLE: options.profile})}
        arrived = {key: measure(*transport, options, domain) for key, transport in transports.items()
                   if options.only in (None, key)}
        mine, peer = arrived.get('ours'), arrived.get('default')
        print(json.dumps({'name': 'transport', 'ours': None if mine is None else round(mine, 2),
                          'peer': None if peer is None else round(peer, 2),
                          'ratio': None if mine is None or peer is None else round(mine / max(peer, 0.01), 2),
                          'unit': '% of messages that arrive', 'n': options.cycles * len(topics(options.images)),
                          'threads': 1}))


if __name__ == '__main__':
    main()
