"""Records topics into a bag (mcap) as they come, serialised, and notes when each message arrived.

Runs where ``ros2 bag record`` is not installed.
``python -m sam2amml_ros.recorder_node --ros-args -p bag:=out -p topics:="['/points sensor_msgs/msg/PointCloud2']"``
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Float64, UInt64

from sam2amml_core.errors import InputError
from sam2amml_core.io.bag_messages import typestore
from sam2amml_core.io.bag_writer import clear_bag, qos
from sam2amml_core.io.cdr import read_stamp
from sam2amml_ros.message_types import has_header, message_class
from sam2amml_ros.process import run_node

NUMBERS = (Float64, UInt64)
"""Messages whose value is noted too."""
_DURABILITY = {False: DurabilityPolicy.VOLATILE, True: DurabilityPolicy.TRANSIENT_LOCAL}


class RecorderNode(Node):
    """Subscribes reliably and writes. Raises InputError for a parameter or a folder that cannot be used."""

    def __init__(self) -> None:
        super().__init__('recorder_node')
        self._path = Path(str(self._declare('bag', '', 'folder of the bag to write; replaced if it is one')))
        topics = self._declare('topics', [''], 'what to record, one string each: "TOPIC TYPE", or "TOPIC TYPE latched" '
                               'to get what was published before, too')
        log = str(self._declare('log', '', 'file for one JSON line per message: topic, stamp, time received, value'))
        if self._path == Path():
            raise InputError('parameter bag is empty; give a folder: -p bag:=PATH')
        self._log: TextIO | None = Path(log).open('w', buffering=1) if log else None  # noqa: SIM115 (closed in close)
        self._writer: Any = self._open_writer()
        self._subscriptions_kept = []
        for entry in topics:
            words = entry.split()
            if len(words) not in (2, 3) or words[2:] not in ([], ['latched']):
                raise InputError(f'parameter topics has {entry!r}; write "TOPIC TYPE", such as '
                                 '"/points sensor_msgs/msg/PointCloud2"')
            topic, name = words[:2]
            kind = message_class(name)
            connection = self._writer.add_connection(topic, name, typestore=typestore(), offered_qos_profiles=[qos()])
            store = partial(self._store, connection, has_header(kind), kind)
            wanted = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE,
                                durability=_DURABILITY[len(words) == 3])
            self._subscriptions_kept.append(self.create_subscription(kind, topic, store, wanted, raw=True))
        self.get_logger().info(f'recording {len(topics)} topics into {self._path}')

    def close(self) -> None:
        """Complete the bag."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _declare(self, name: str, default: Any, description: str) -> Any:
        return self.declare_parameter(name, default, ParameterDescriptor(description=description, read_only=True)).value

    def _open_writer(self) -> Any:
        from rosbags.rosbag2 import StoragePlugin, Writer

        clear_bag(self._path)
        writer = Writer(self._path, version=9, storage_plugin=StoragePlugin.MCAP)
        try:
            writer.open()
        except OSError as error:
            raise InputError(f'cannot write bag {self._path}: {error.strerror}; choose another folder') from error
        return writer

    def _store(self, connection: Any, stamped: bool, kind: Any, raw: bytes) -> None:
        received_ns = time.time_ns()
        self._writer.write(connection, received_ns, raw)
        if self._log is not None:
            entry: dict[str, Any] = {'topic': connection.topic, 'received_ns': received_ns}
            if stamped:
                entry['stamp_ns'] = read_stamp(raw)
            if kind in NUMBERS:
                entry['value'] = deserialize_message(raw, kind).data
            self._log.write(json.dumps(entry) + '\n')


def main(args: list[str] | None = None) -> int:
    return run_node(RecorderNode, args)


if __name__ == '__main__':
    sys.exit(main())
