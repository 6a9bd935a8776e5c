"""Masks as messages: an Image of encoding 16UC1 with the id of each pixel, 0 = none."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam2amml_core.errors import InputError
from sam2amml_ros.conversions import byte_array

ENCODING = '16UC1'


def mask_message(header: Header, id_map: np.ndarray) -> Image:
    """Of ids uint16 [H, W]."""
    height, width = id_map.shape
    return Image(header=header, height=height, width=width, encoding=ENCODING, is_bigendian=0, step=2 * width,
                 data=byte_array(np.ascontiguousarray(id_map, '<u2')))


def read_mask_message(message: Image) -> np.ndarray:
    """Ids uint16 [H, W] of a message, of either byte order, rows padded or not.

    Raises InputError when it holds no masks or is truncated.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    if message.encoding != ENCODING:
        raise InputError(f'mask image has encoding {message.encoding!r}, masks are {ENCODING}; check the topic')
    if height <= 0 or width <= 0 or step < 2 * width:
        raise InputError(f'mask image of {width} x {height} pixels has rows of {step} bytes; check its publisher')
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < step * (height - 1) + 2 * width:
        raise InputError(f'mask image is truncated: {len(data)} bytes for {width} x {height} pixels')
    order = '>' if message.is_bigendian else '<'
    return np.ndarray((height, width), order + 'u2', data, strides=(step, 2)).astype(np.uint16)
