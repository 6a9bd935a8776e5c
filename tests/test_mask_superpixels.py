"""Superpixels: whole coverage, borders on borders, the same result twice, clear errors."""

from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView
from sam2amml_core.masks.mask_set import image_hash
from sam2amml_core.masks.superpixels import METHODS, SuperpixelMasks, SuperpixelSettings

pytest.importorskip('skimage', reason='the extra [masks] is not installed')


def two_halves(height: int = 120, width: int = 200) -> CameraView:
    rng = np.random.default_rng(0)
    image = np.where(np.arange(width)[None, :, None] < width // 2, (200, 60, 40), (30, 80, 180))
    image = np.clip(np.broadcast_to(image, (height, width, 3)) + rng.normal(0, 4, (height, width, 3)), 0, 255)
    matrix = np.array([[100.0, 0, width / 2, 0], [0, 100, height / 2, 0], [0, 0, 1, 0]])
    return CameraView(Camera('front', width, height, matrix, np.eye(4)), image.astype(np.uint8))


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('rows', [60, 240])
def test_superpixels_cover_the_image_and_keep_to_its_edges(method: str, rows: int) -> None:
    view = two_halves()
    generator = SuperpixelMasks(SuperpixelSettings(method, segments=30, rows=rows))
    masks = generator.generate(view)
    assert masks.id_map.shape == (120, 200) and masks.id_map.min() == 1
    assert masks.area.sum() == 120 * 200
    left = np.bincount(masks.id_map[:, :100].ravel(), minlength=len(masks) + 1)[1:]
    astray = np.minimum(left, masks.area - left).sum() / masks.area.sum()
    assert astray < 0.03
    assert np.array_equal(generator.generate(view).id_map, masks.id_map)
    assert masks.provenance == generator.provenance(view) and masks.provenance.image == image_hash(view.image)


def test_images_that_do_not_fit_are_refused() -> None:
    view = two_halves()
    with pytest.raises(InputError, match='camera front: image of 200 x 119 pixels, calibration for 200 x 120'):
        SuperpixelMasks().generate(CameraView(view.camera, view.image[:-1]))
    with pytest.raises(InputError, match='uint8'):
        SuperpixelMasks().generate(CameraView(view.camera, view.image.astype(np.float32)))


@pytest.mark.parametrize(('name', 'value'), [('method', 'seeds'), ('segments', 0), ('compactness', -1.0), ('rows', 0)])
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name if name != 'method' else 'seeds'):
        SuperpixelMasks(SuperpixelSettings(**{name: value}))  # type: ignore[arg-type]
