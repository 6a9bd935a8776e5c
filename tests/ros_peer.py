"""Helpers of the ROS tests: nodes as processes on a domain of their own, and a peer that talks to them over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import PointCloud2

from sam2amml_core.io.pointcloud2 import TYPES, Field
from sam2amml_ros.conversions import byte_array, point_fields
from sam2amml_ros.transport import PROFILE_VARIABLE, environment

ROOT = Path(__file__).parents[1]
DEADLINE_S = 40.0
_domains = count(1 + os.getpid() % 90)
_stamps = count(1_700_000_000)


def new_domain() -> int:
    """Another domain for each module of tests, and for each test run: 1 .. 101."""
    return 1 + next(_domains) % 101


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until the condition is true and return its value; fail with ``what`` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'{what} did not happen within {deadline_s:g} s')


class NodeProcess:
    """A node of ours in a process; ``log`` is what it said so far."""

    def __init__(self, module: str, arguments: list[str], domain: int, log: Path) -> None:
        self._log = log
        with log.open('w') as file:
            self.process = subprocess.Popen([sys.executable, '-m', f'sam2amml_ros.{module}', '--ros-args', *arguments],
                                            env=environment(domain), stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        def said() -> bool:
            if text not in self.log and self.process.poll() is not None:
                raise AssertionError(f'process ended with {self.process.returncode}: {self.log}')
            return text in self.log
        wait_until(said, f'"{text}" in the log')

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f'no end on {number.name}: {self.log}') from None


@contextmanager
def node_process(module: str, arguments: list[str], domain: int, log: Path) -> Iterator[NodeProcess]:
    node = NodeProcess(module, arguments, domain, log)
    try:
        yield node
    finally:
        node.stop()  # not killed: its shared memory would stay behind


class Peer:
    """A node in this process, in a context of its own."""

    def __init__(self, domain: int) -> None:
        env = environment(domain)
        for name in (PROFILE_VARIABLE, 'ROS_AUTOMATIC_DISCOVERY_RANGE'):
            os.environ[name] = env[name]
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node('peer', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._received: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}

    def listen(self, kind: Any, topic: str, qos: QoSProfile | None = None) -> list[Any]:
        """Subscribe and return the list that messages will be added to."""
        if topic not in self._received:
            self._received[topic] = []
            reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
            self.node.create_subscription(kind, topic, self._received[topic].append, qos or reliable)
        return self._received[topic]

    def publish(self, topic: str, message: Any, qos: QoSProfile | None = None) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, qos or qos_profile_sensor_data)
        self._publishers[topic].publish(message)

    def until(self, condition: Callable[[], Any], what: str, again: Callable[[], None] | None = None,
              every_s: float = 0.3, deadline_s: float = DEADLINE_S) -> Any:
        """Spin until the condition is true; call ``again`` now and every ``every_s`` (best effort may lose)."""
        end = time.monotonic() + deadline_s
        due = 0.0
        while time.monotonic() < end:
            if again is not None and time.monotonic() >= due:
                again()
                due = time.monotonic() + every_s
            self._executor.spin_once(timeout_sec=0.02)
            value = condition()
            if value:
                return value
        raise AssertionError(f'{what} did not happen within {deadline_s:g} s')

    def ask(self, topic: str, message: PointCloud2, kind: Any, answer_topic: str) -> Any:
        """Send a cloud until an answer with its stamp comes; return that."""
        answers = self.listen(kind, answer_topic)
        return self.until(lambda: next((m for m in answers if m.header.stamp == message.header.stamp), None),
                          f'an answer on {answer_topic}', lambda: self.publish(topic, message))

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


def cloud_message(values: np.ndarray, fields: list[Field], step: int, height: int = 1, row_padding: int = 0,
                  bigendian: bool = False) -> PointCloud2:
    """A cloud of ``len(values)`` points, structured array with the fields' names; unused bytes hold 0xAB.

    Each call gives another stamp.
    """
    width = len(values) // height
    row_step = width * step + row_padding
    data = np.full(height * row_step, 0xAB, np.uint8)
    order = '>' if bigendian else '<'
    for field in fields if len(values) else ():
        grid = np.ndarray((height, width), order + TYPES[field.datatype], data, field.offset, (row_step, step))
        grid[...] = values[field.name].reshape(height, width)
    message = PointCloud2(height=height, width=width, fields=point_fields(fields), is_bigendian=bigendian,
                          point_step=step, row_step=row_step, data=byte_array(data), is_dense=False)
    message.header.frame_id = 'some_lidar'
    message.header.stamp.sec, message.header.stamp.nanosec = next(_stamps), 123_456_789
    return message
