"""Image messages to RGB."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.io.images import decode_compressed, decode_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: int = 0) -> SimpleNamespace:
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    padded = np.full((height, rows.shape[1] + padding), 99, np.uint8)
    padded[:, :rows.shape[1]] = rows
    return SimpleNamespace(height=height, width=width, encoding=encoding, is_bigendian=big, step=padded.shape[1],
                           data=padded.tobytes())


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(('encoding', 'pixels'), [
    ('rgb8', RGB), ('bgr8', RGB[:, :, ::-1]), ('8UC3', RGB[:, :, ::-1]),
    ('rgba8', np.dstack((RGB, RGB[:, :, 0]))), ('bgra8', np.dstack((RGB[:, :, ::-1], RGB[:, :, 0]))),
])
def test_colour_encodings_come_out_as_rgb(encoding: str, pixels: np.ndarray, padding: int) -> None:
    assert np.array_equal(decode_image(message(pixels, encoding, padding)), RGB)


@pytest.mark.parametrize(('encoding', 'dtype', 'big'), [('mono8', 'u1', 0), ('mono16', '<u2', 0), ('16UC1', '>u2', 1)])
def test_grey_encodings_come_out_as_equal_channels(encoding: str, dtype: str, big: int) -> None:
    grey = RGB[:, :, 0].astype(dtype) * (257 if 'u2' in dtype else 1)
    image = decode_image(message(grey.astype(dtype), encoding, 2, big))
    assert np.array_equal(image, np.repeat(RGB[:, :, :1], 3, axis=2))


def test_compressed_image_comes_out_as_rgb() -> None:
    _, data = cv2.imencode('.png', RGB[:, :, ::-1])
    assert np.array_equal(decode_compressed(SimpleNamespace(format='png', data=data.tobytes())), RGB)


def test_bad_images_are_refused_by_name() -> None:
    with pytest.raises(InputError, match='bayer'):
        decode_image(message(RGB[:, :, 0], 'bayer_rggb8'))
    short = message(RGB, 'rgb8')
    short.data = short.data[:50]
    with pytest.raises(InputError, match='truncated'):
        decode_image(short)
    narrow = message(RGB, 'rgb8')
    narrow.step = 10
    with pytest.raises(InputError, match='step'):
        decode_image(narrow)
    with pytest.raises(InputError, match='jpeg'):
        decode_compressed(SimpleNamespace(format='jpeg', data=b'\xff\xd8no'))
