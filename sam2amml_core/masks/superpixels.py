"""Superpixels as masks: no weights, no LiDAR; the embedded default, and the baseline of Seal (Liu et al. 2023).

SLIC (Achanta et al. 2012) and Felzenszwalb and Huttenlocher (2004), both from scikit-image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.masks.generator import check_view
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set

METHODS = ('slic', 'felzenszwalb')


@dataclass(frozen=True)
class SuperpixelSettings:
    """method: slic or felzenszwalb; segments: about how many (slic); compactness: of slic, 1 to 30; scale: of
    felzenszwalb, larger makes larger segments; rows: the image is cut at this height, then ids are enlarged."""

    method: str = 'slic'
    segments: int = 150
    compactness: float = 10.0
    scale: float = 200.0
    rows: int = 240

    def check(self) -> None:
        """Raises InputError naming the value that cannot be."""
        if self.method not in METHODS:
            raise InputError(f'no superpixel method {self.method!r}; choose one of {", ".join(METHODS)}')
        for name in ('segments', 'compactness', 'scale', 'rows'):
            if not getattr(self, name) > 0:
                raise InputError(f'superpixel setting {name} is {getattr(self, name)}; give a number above 0')


class SuperpixelMasks:
    """A ``MaskGenerator``; the same image gives the same masks."""

    def __init__(self, settings: SuperpixelSettings | None = None) -> None:
        self.settings = settings or SuperpixelSettings()
        self.settings.check()
        self.name = self.settings.method

    def provenance(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                   ) -> Provenance:
        return Provenance(self.name, settings=asdict(self.settings), image=image_hash(view.image))

    def generate(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                 ) -> MaskSet:
        """Every pixel is in a mask. Raises InputError for an image that does not fit its calibration."""
        check_view(view)
        height, width = view.image.shape[:2]
        labels = self.cut(view.image).astype(np.uint16)
        full = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return make_mask_set(np.asarray(full, np.uint16), self.provenance(view), in_place=True)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Superpixels int [h, w] from 1 of an image uint8 [H, W, 3], with at most ``settings.rows`` rows."""
        rows = min(image.shape[0], self.settings.rows)
        columns = max(1, round(image.shape[1] * rows / image.shape[0]))
        image = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        try:
            from skimage.segmentation import felzenszwalb, slic
        except ImportError as error:
            raise EngineError(f'scikit-image is not installed ({error}); install the extra [masks]') from error
        settings = self.settings
        if settings.method == 'slic':
            return np.asarray(slic(image, n_segments=settings.segments, compactness=settings.compactness,
                                   start_label=1, max_num_iter=5))
        smallest = max(20, image.shape[0] * image.shape[1] // (8 * settings.segments))
        return np.asarray(felzenszwalb(image, scale=settings.scale, sigma=0.6, min_size=smallest)) + 1
