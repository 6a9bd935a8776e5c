"""What every maker of masks offers."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.masks.mask_set import MaskSet, Provenance


class MaskGenerator(Protocol):
    """Cuts one image into masks, with the help of the LiDAR or without.

    ``provenance`` says beforehand what ``generate`` will write into its result, so that work done already is known
    without doing it again. Both take the same arguments:

    view        the image and its camera
    cloud       the sweep, in the LiDAR frame and moved to the image's stamp; generators without 3D ignore it
    point_class uint8 [N], a class of each point (predicted or given), 0 or UNKNOWN where there is none
    """

    name: str

    def provenance(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                   ) -> Provenance: ...

    def generate(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                 ) -> MaskSet: ...


def check_view(view: CameraView) -> None:
    """Raises InputError when the image is no RGB image or of another size than the calibration."""
    image, camera = view.image, view.camera
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'camera {camera.name}: image is {image.dtype} {image.shape}; give uint8 [H, W, 3] RGB')
    if image.shape[:2] != (camera.height, camera.width):
        raise InputError(f'camera {camera.name}: image of {image.shape[1]} x {image.shape[0]} pixels, calibration for '
                         f'{camera.width} x {camera.height}; give the calibration of this image size')


def inputs_hash(cloud: PointCloud, point_class: np.ndarray | None) -> str:
    """Of the points, float32 [N, 3], and their classes."""
    digest = hashlib.blake2b(np.ascontiguousarray(cloud.xyz).data, digest_size=16)
    if point_class is not None:
        digest.update(np.ascontiguousarray(point_class, np.uint8).data)
    return digest.hexdigest()
