"""The first bytes of a serialised ROS 2 message that begins with a header: its stamp, read and replaced in place.

CDR (the OMG's Common Data Representation): 4 bytes of encapsulation, of which the second tells the byte order, then
the fields; ``std_msgs/Header`` starts with ``stamp.sec`` int32 and ``stamp.nanosec`` uint32.
"""

from __future__ import annotations

import struct

from sam2amml_core.errors import InputError

HEADER_BYTES = 12


def read_stamp(raw: bytes | bytearray | memoryview) -> int:
    """The header stamp in nanoseconds. Raises InputError when the message is too short to have one."""
    seconds, nanoseconds = struct.unpack_from(_layout(raw), raw, 4)
    return seconds * 1_000_000_000 + nanoseconds


def with_stamp(raw: bytes | bytearray | memoryview, stamp_ns: int) -> bytes:
    """The same message with another header stamp. Raises InputError as ``read_stamp``."""
    changed = bytearray(raw)
    struct.pack_into(_layout(raw), changed, 4, stamp_ns // 1_000_000_000, stamp_ns % 1_000_000_000)
    return bytes(changed)


def _layout(raw: bytes | bytearray | memoryview) -> str:
    if len(raw) < HEADER_BYTES:
        raise InputError(f'serialised message of {len(raw)} bytes has no header; the recording is damaged')
    return '<iI' if raw[1] & 1 else '>iI'
