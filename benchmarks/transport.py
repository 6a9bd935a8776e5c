"""Share of large messages that arrive, best effort, between two processes: our Fast DDS profile against the default.

One 3.1 MB cloud and two 1.4 MB images at 10 Hz, as a driver sends them, into subscriptions of depth 5.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from sam2amml_ros.transport import PROFILE_VARIABLE, environment

CLOUD_BYTES, IMAGE_BYTES, IMAGES, HZ = 3_145_728, 1_397_250, 2, 10
TOPICS = ('points', *(f'image_{index}' for index in range(IMAGES)))


def receive(seconds: float) -> None:
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

    for topic in TOPICS:
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


def send(cycles: int) -> int:
    """Publish when all topics have their subscriber; returns the number of messages."""
    import array

    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Empty

    rclpy.init()
    node = rclpy.create_node('sender')
    publishers = [node.create_publisher(Image, topic, qos_profile_sensor_data) for topic in TOPICS]
    finished = node.create_publisher(Empty, 'done', 1)
    messages = [Image(data=array.array('B', bytes(size))) for size in (CLOUD_BYTES, *[IMAGE_BYTES] * IMAGES)]
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


def measure(name: str, changes: dict[str, str], cycles: int, domain: int) -> float:
    """Percent that arrived under an environment."""
    env = environment(domain, own_profile=False)
    env.pop(PROFILE_VARIABLE, None)
    env |= changes
    command = [sys.executable, __file__, '--cycles', str(cycles)]
    receiver = subprocess.Popen([*command, '--role', 'receive'], env=env, stdout=subprocess.PIPE, text=True)
    sent = int(subprocess.run([*command, '--role', 'send'], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout)
    result = json.loads(receiver.communicate()[0].strip().splitlines()[-1])
    latency = 'none arrived' if result['median_ms'] is None else (
        f'median {result["median_ms"]:.1f} ms, longest {result["max_ms"]:.1f} ms')
    print(f'{name}: {result["arrived"]} of {sent} arrived, {latency}', flush=True)
    return 100 * result['arrived'] / sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cycles', type=int, default=60)
    parser.add_argument('--role', choices=('both', 'send', 'receive'), default='both')
    parser.add_argument('--profile', default=environment()[PROFILE_VARIABLE], help='XML file of our transports')
    options = parser.parse_args()
    if options.role == 'receive':
        receive(30 + options.cycles / HZ)
    elif options.role == 'send':
        print(send(options.cycles))
    else:
        domain = 1 + os.getpid() % 100
        peer = measure('default transports', {}, options.cycles, domain)
        measure('LARGE_DATA', {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, options.cycles, domain)
        mine = measure('our profile', {PROFILE_VARIABLE: options.profile}, options.cycles, domain)
        print(json.dumps({'name': 'transport', 'ours': round(mine, 2), 'peer': round(peer, 2),
                          'ratio': round(mine / max(peer, 0.01), 2), 'unit': '% of messages that arrive',
                          'n': options.cycles * len(TOPICS), 'threads': 1}))


if __name__ == '__main__':
    main()
