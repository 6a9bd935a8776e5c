"""``sensor_msgs/Image`` and ``CompressedImage`` to RGB, without ROS (any object with the message's attributes)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sam2amml_core.errors import InputError

CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1, '8UC1': 1, '8UC3': 3, '8UC4': 4,
            'mono16': 1, '16UC1': 1}
"""Encodings read. Those of OpenCV (8UC3, 8UC4) carry no colour order and are taken as BGR, as OpenCV has it."""


class ImageMessage(Protocol):
    """What we need of an Image message."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImageMessage(Protocol):
    """What we need of a CompressedImage message."""

    format: str
    data: Any


def decode_image(message: ImageMessage) -> np.ndarray:
    """The image as uint8 [H, W, 3] RGB; a view of the message's bytes for rgb8, else a copy.

    Rows may be padded. 16-bit grey is reduced to its upper byte. Raises InputError for an empty or truncated image or
    an encoding outside ``CHANNELS``.
    """
    encoding = str(message.encoding)
    height, width, step = int(message.height), int(message.width), int(message.step)
    if encoding not in CHANNELS:
        raise InputError(f'image encoding {encoding!r} is not supported; publish one of {", ".join(CHANNELS)}')
    if height <= 0 or width <= 0:
        raise InputError(f'image is empty ({width} x {height}); check the camera driver')
    channels = CHANNELS[encoding]
    sample = 2 if '16' in encoding else 1
    row = width * channels * sample
    if step < row:
        raise InputError(f'image step is {step} bytes, less than a row of {width} {encoding} pixels ({row}); '
                         'correct the camera driver')
    buffer = np.frombuffer(message.data, np.uint8)
    needed = step * (height - 1) + row
    if len(buffer) < needed:
        raise InputError(f'image is truncated: {len(buffer)} bytes of data, but {width} x {height} {encoding} '
                         f'needs {needed}; check the driver or the recording')
    if sample == 2:
        high = 0 if message.is_bigendian else 1
        grey = np.ndarray((height, width), np.uint8, buffer, high, (step, 2))
        return np.repeat(grey[:, :, None], 3, axis=2)
    pixels = np.ndarray((height, width, channels), np.uint8, buffer, strides=(step, channels, 1))
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    if encoding.startswith('rgb'):
        return pixels[:, :, :3]
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGB)


def decode_compressed(message: CompressedImageMessage) -> np.ndarray:
    """A JPEG or PNG of a CompressedImage as uint8 [H, W, 3] RGB. Raises InputError when it cannot be decoded."""
    return decode_bytes(np.frombuffer(message.data, np.uint8), f'compressed image of format {message.format!r}')


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 [H, W, 3] RGB. Raises InputError when it is missing or not an image."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f'image {path} cannot be read: {error.strerror}') from error
    return decode_bytes(data, f'image {path}')


def decode_bytes(data: np.ndarray, what: str) -> np.ndarray:
    """Encoded bytes uint8 [n] to RGB; ``what`` names them in the error."""
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise InputError(f'{what} ({len(data)} bytes) is not a readable JPEG or PNG; it may be truncated')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
