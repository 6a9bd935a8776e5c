"""The default way to masks, for comparison: SAM2's own automatic generator, which asks at every place of a grid."""

from __future__ import annotations

import numpy as np

from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.masks.generator import check_view
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set
from sam2amml_core.masks.sam2_model import Sam2


class AutomaticMasks:
    """A ``MaskGenerator`` around ``SAM2AutomaticMaskGenerator`` with its defaults: 32 x 32 prompts.

    Its masks overlap; smaller ones are painted over larger ones, as SALT does. ``options`` go to its constructor.
    """

    def __init__(self, sam: Sam2, **options: float) -> None:
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        self.sam, self.options = sam, options
        self.name = 'automatic'
        self._generator = SAM2AutomaticMaskGenerator(sam.network, **options)
        # the predictor assumes 1024 px
        self._generator.predictor._bb_feat_sizes = [(sam.image_size // stride,) * 2 for stride in (4, 8, 16)]
        self.prompted = int(sum(len(grid) for grid in self._generator.point_grids))

    def provenance(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                   ) -> Provenance:
        return Provenance(self.name, self.sam.checkpoint, dict(self.options), image_hash(view.image))

    def generate(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                 ) -> MaskSet:
        check_view(view)
        found = sorted(self._generator.generate(view.image), key=lambda mask: -mask['area'])
        ids = np.zeros(view.image.shape[:2], np.int32)
        for number, mask in enumerate(found, start=1):
            ids[mask['segmentation']] = number
        score = np.array([0.0, *(mask['predicted_iou'] for mask in found)], np.float32)
        return make_mask_set(ids, self.provenance(view), score)
