"""A node under test as a process, and a peer that plays its sensors and hears its labels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import UInt64

from sam2amml_core.errors import InputError
from sam2amml_core.io.cdr import read_stamp
from sam2amml_ros.faults import messages
from sam2amml_ros.stages import DROPPED_TOPIC
from sam2amml_ros.transport import environment

NODE = '/segmentation_node'
READY_S = 60.0
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class NodeUnderTest:
    """The process; ``restart`` after ``kill`` gives another one with the same arguments."""

    def __init__(self, module: str, parameters: dict[str, str], domain: int, log: Path) -> None:
        self._arguments = [text for name, value in parameters.items() for text in ('-p', f'{name}:={value}')]
        self._command = [sys.executable, '-m', f'sam2amml_ros.{module}', '--ros-args', '-r',
                         '__node:=segmentation_node']
        self._env = environment(domain)
        self._log = log
        log.write_text('')
        self.restart()

    def restart(self) -> None:
        with self._log.open('a') as file:
            self._process = subprocess.Popen([*self._command, *self._arguments], env=self._env, stdout=file,
                                             stderr=subprocess.STDOUT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def resident_mb(self) -> float:
        pages = int(Path(f'/proc/{self._process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') * 1e-6


class Peer:
    """Sensors and consumer in this process, in a context of its own; nothing in it runs between calls of ``spin``."""

    def __init__(self, domain: int, cameras: tuple[str, ...]) -> None:
        os.environ.update({k: v for k, v in environment(domain).items() if k.startswith(('FASTDDS_', 'ROS_AUTOMATIC'))})
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node('sensors', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.readers_found = 0
        self.announced = 0  # how often the node said how many sweeps it dropped; it begins with that when it is ready
        self.counted_drops = 0
        self.overlays = 0
        self._sent: dict[int, deque[int]] = {}
        self.sent_at: list[float] = []
        self.heard_at: dict[int, float] = {}
        self.spurious = 0
        events = PublisherEventCallbacks(matched=self._matched)
        publisher = self.node.create_publisher
        self._clouds = publisher(PointCloud2, f'{NODE}/input/pointcloud', SENSOR, event_callbacks=events)
        self._images = {name: publisher(Image, f'{NODE}/input/{name}/image', SENSOR) for name in cameras}
        self._infos = {name: publisher(CameraInfo, f'{NODE}/input/{name}/camera_info', SENSOR) for name in cameras}
        self._poses = {name: publisher(TransformStamped, f'{NODE}/input/{name}/extrinsics', LATCHED)
                       for name in cameras}
        self.node.create_subscription(PointCloud2, f'{NODE}/output/segmentation', self._heard, RELIABLE, raw=True)
        self.node.create_subscription(UInt64, f'{NODE}{DROPPED_TOPIC[1:]}', self._dropped, LATCHED)
        for name in cameras:
            self.node.create_subscription(Image, f'{NODE}/debug/{name}/overlay', self._overlay, RELIABLE, raw=True)

    def send_cloud(self, message: PointCloud2) -> int:
        """Publish; returns the sweep's number."""
        number = len(self.sent_at)
        stamp = message.header.stamp
        self._sent.setdefault(stamp.sec * 1_000_000_000 + stamp.nanosec, deque()).append(number)
        self.sent_at.append(time.monotonic())
        self._clouds.publish(message)
        return number

    def send_image(self, camera: str, message: Image) -> None:
        self._images[camera].publish(message)

    def send_info(self, camera: str, message: CameraInfo) -> None:
        self._infos[camera].publish(message)

    def send_extrinsics(self, camera: str) -> None:
        self._poses[camera].publish(messages.extrinsics(camera))

    def spin(self, until: float) -> None:
        """Serve callbacks until a monotonic time."""
        while (left := until - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.05))

    def wait(self, condition: Callable[[], Any], what: str, limit_s: float = READY_S) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise InputError(f'{what} did not happen within {limit_s:g} s')
            self._executor.spin_once(timeout_sec=0.02)

    def begin(self) -> None:
        """Forget the sweeps sent so far."""
        self._sent.clear()
        self.sent_at.clear()
        self.heard_at.clear()
        self.spurious = 0

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _heard(self, raw: bytes) -> None:
        now = time.monotonic()
        waiting = self._sent.get(read_stamp(raw))
        if waiting:
            self.heard_at[waiting.pop()] = now  # of a recording that loops: the last one sent
            waiting.clear()
        else:
            self.spurious += 1

    def _matched(self, event: Any) -> None:
        self.readers_found += max(0, event.current_count_change)

    def _dropped(self, message: UInt64) -> None:
        self.counted_drops = int(message.data)
        self.announced += 1

    def _overlay(self, raw: bytes) -> None:
        self.overlays += 1
