"""Plays a bag onto its topics at the recorded rate, each message when it is due, without drift.

Serialised messages go out as they were stored; only the stamp in the header is replaced when asked. Runs where
``ros2 bag play`` is not installed. ``python -m sam2amml_ros.playback_node --ros-args -p bag:=street -p stamp:=shifted``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from sam2amml_core.errors import InputError
from sam2amml_core.io.bag import open_bag
from sam2amml_core.io.cdr import read_stamp, with_stamp
from sam2amml_ros.message_types import has_header, message_class, offered_qos
from sam2amml_ros.process import run_node

CLOCK_PERIOD_S = 0.01
STAMPS = ('recorded', 'shifted', 'now')


class Route(NamedTuple):
    """Where messages of one connection go."""

    publisher: Any
    stamped: bool
    latched: bool


class PlaybackNode(Node):
    """Plays on its caller's thread (``play``). Raises InputError for a bag or parameter that cannot be used."""

    def __init__(self) -> None:
        super().__init__('playback_node')
        self._bag = str(self._declare('bag', '', 'folder or file of the bag'))
        self._rate = float(self._declare('rate', 1.0, 'speed: 2.0 plays twice as fast'))
        self._start_s = float(self._declare('start_s', 0.0, 'begin this long after the start of the bag'))
        self._with_clock = bool(self._declare('clock', False, 'publish /clock, for nodes with use_sim_time'))
        self._loop = bool(self._declare('loop', False, 'begin again at the end'))
        self._stamp = str(self._declare('stamp', 'recorded', 'header stamps: recorded, shifted (all by the same time, '
                                        'so that the first is now) or now (of publishing)'))
        self._wait_for = [t for t in self._declare('wait_for', [''], 'begin when these topics have a subscriber') if t]
        self._wait_s = float(self._declare('wait_s', 60.0, 'give up when they have none after this time'))
        self._settle_s = float(self._declare('settle_s', 0.5, 'how long they must have one before the first message'))
        self._log_path = str(self._declare('log', '', 'file for a JSON line per message: topic, stamp, time published'))
        if not self._bag:
            raise InputError('parameter bag is empty; give the folder of a bag: -p bag:=PATH')
        if self._stamp not in STAMPS:
            raise InputError(f'parameter stamp is {self._stamp!r}; choose one of {", ".join(STAMPS)}')
        if not 0.01 <= self._rate <= 100:
            raise InputError(f'parameter rate is {self._rate:g}; give 0.01 to 100')
        if not 0 <= self._start_s < 1e9:
            raise InputError(f'parameter start_s is {self._start_s:g}; give 0 or more seconds')
        self._clock_publisher = self.create_publisher(Clock, '/clock', 10) if self._with_clock else None

    def play(self) -> int:
        """Play until the end (or for ever, with loop); returns the exit status."""
        with ExitStack() as stack:
            reader = stack.enter_context(open_bag(Path(self._bag)))
            routes = self._routes(reader)
            log = stack.enter_context(Path(self._log_path).open('w')) if self._log_path else None
            self._await_subscribers({route.publisher.topic_name: route.publisher for route in routes.values()})
            published = self._play_once(reader, routes, log)
            while self._loop and rclpy.ok():
                published += self._play_once(reader, routes, log)
            if rclpy.ok():
                self._drain(routes)
        self.get_logger().info(f'played {published} messages of {self._bag}')
        return 0

    def _declare(self, name: str, default: Any, description: str) -> Any:
        return self.declare_parameter(name, default, ParameterDescriptor(description=description, read_only=True)).value

    def _routes(self, reader: Any) -> dict[int, Route]:
        routes = {}
        for connection in reader.connections:
            try:
                kind = message_class(connection.msgtype)
            except InputError as error:
                self.get_logger().warning(f'topic {connection.topic} is not played: {error}')
                continue
            publisher = self.create_publisher(kind, connection.topic, offered_qos(connection.ext.offered_qos_profiles))
            latched = any(p.durability.name == 'TRANSIENT_LOCAL' for p in connection.ext.offered_qos_profiles)
            routes[connection.id] = Route(publisher, has_header(kind), latched)
        if not routes:
            raise InputError(f'bag {self._bag} has no topic that can be played here')
        return routes

    def _await_subscribers(self, publishers: dict[str, Any]) -> None:
        """Until every topic of ``wait_for`` has had a subscriber for ``settle_s``: others must match us as well.

        For a topic played here, only a subscriber that one of the ``publishers`` (by full topic name) has found counts.
        """
        def found(topic: str) -> int:
            publisher = publishers.get(self.resolve_topic_name(topic))
            return publisher.get_subscription_count() if publisher is not None else self.count_subscribers(topic)

        deadline = time.monotonic() + self._wait_s
        since = None
        while rclpy.ok():
            missing = [topic for topic in self._wait_for if not found(topic)]
            now = time.monotonic()
            since = None if missing else since or now
            if since is not None and now - since >= (self._settle_s if self._wait_for else 0):
                return
            if now > deadline:
                raise InputError(f'no subscriber on {", ".join(missing)} after {self._wait_s:g} s; '
                                 'start the other nodes, or check names and ROS_DOMAIN_ID')
            time.sleep(0.02)

    def _play_once(self, reader: Any, routes: dict[int, Route], log: TextIO | None) -> int:
        """One pass. A message is due at start + (its time - time of the first) / rate, however late others were."""
        count = 0
        started = time.monotonic_ns()
        wall = self.get_clock().now().nanoseconds
        first = reader.start_time + round(1e9 * self._start_s)
        if first >= reader.end_time:
            raise InputError(f'parameter start_s is {self._start_s:g}, but bag {self._bag} ends after '
                             f'{(reader.end_time - reader.start_time) * 1e-9:.1f} s; give less')

        def tick() -> None:
            passed = (time.monotonic_ns() - started)
            self._publish_clock(first + round(passed * self._rate) if self._stamp == 'recorded' else wall + passed)

        for topic, logged_ns, route, raw in self._messages(reader, routes, first):
            due = started + round(max(0, logged_ns - first) / self._rate)
            if not _sleep_until(due, tick if self._with_clock else None):
                break
            if route.stamped and self._stamp != 'recorded':
                shifted = wall + round((read_stamp(raw) - first) / self._rate)
                raw = with_stamp(raw, shifted if self._stamp == 'shifted' else self.get_clock().now().nanoseconds)
            published_ns = time.time_ns()
            route.publisher.publish(bytes(raw))
            if log is not None:
                stamp_ns = read_stamp(raw) if route.stamped else None
                log.write(json.dumps({'topic': topic, 'stamp_ns': stamp_ns, 'published_ns': published_ns}) + '\n')
            count += 1
        return count

    def _publish_clock(self, time_ns: int) -> None:
        if self._clock_publisher is not None:
            message = Clock()
            message.clock.sec, message.clock.nanosec = time_ns // 1_000_000_000, time_ns % 1_000_000_000
            self._clock_publisher.publish(message)

    @staticmethod
    def _messages(reader: Any, routes: dict[int, Route], first: int) -> Iterator[tuple[str, int, Route, bytes]]:
        """All messages from a time on, and before them what was latched until then."""
        wanted = [c for c in reader.connections if c.id in routes]
        latched = [c for c in wanted if routes[c.id].latched]
        if latched and first > reader.start_time:
            for connection, logged_ns, raw in reader.messages(connections=latched, stop=first):
                yield connection.topic, logged_ns, routes[connection.id], raw
        for connection, logged_ns, raw in reader.messages(connections=wanted, start=first):
            yield connection.topic, logged_ns, routes[connection.id], raw

    def _drain(self, routes: dict[int, Route]) -> None:
        """Let reliable subscribers get what is still on its way before the publishers go."""
        from rclpy.duration import Duration

        for route in routes.values():
            route.publisher.wait_for_all_acked(Duration(seconds=2.0))


def _sleep_until(due_ns: int, tick: Callable[[], None] | None) -> bool:
    """Sleep until a monotonic time, with a ``tick`` at least every 10 ms; False when ROS was shut down before."""
    while rclpy.ok():
        if tick is not None:
            tick()
        left = (due_ns - time.monotonic_ns()) * 1e-9
        if left <= 0:
            return True
        time.sleep(min(left, 0.1 if tick is None else CLOCK_PERIOD_S))
    return False


def main(args: list[str] | None = None) -> int:
    return run_node(PlaybackNode, args, PlaybackNode.play)


if __name__ == '__main__':
    sys.exit(main())
