"""Masks prompted by the LiDAR: proposals in 3D, prompts in the image, SAM2, fusion into one exclusive map."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.labels import SEMANTIC_KITTI, ClassSchema
from sam2amml_core.masks.fusion import Candidate, FusionSettings, agreement, fuse, quantised, stability
from sam2amml_core.masks.generator import check_view, inputs_hash
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set
from sam2amml_core.masks.outlines import outline
from sam2amml_core.masks.prompts import Prompt, PromptSettings, beam_reach, make_prompts
from sam2amml_core.masks.proposals import Proposals, from_classes, from_geometry
from sam2amml_core.masks.sam2_images import Decoded, decode
from sam2amml_core.masks.sam2_model import Sam2
from sam2amml_core.masks.superpixels import SuperpixelMasks, SuperpixelSettings
from sam2amml_core.masks.surface_cut import cut_surfaces

logger = logging.getLogger(__name__)

LEAST_PIECE = 400
"""Pixels of a surface's part that gets an id of its own."""


@dataclass(frozen=True)
class LidarMaskSettings:
    """How masks are made; every strategy has its switch.

    surface_cut  superpixels along which surfaces are cut; None: surfaces stay whole
    tiling    nearly square tiles of wide images, else one squeezed square
    batch     prompts decoded at a time
    smallest  pixels a mask must have
    """

    prompts: PromptSettings = field(default_factory=PromptSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    tiling: bool = True
    surface_cut: SuperpixelSettings | None = SuperpixelSettings('felzenszwalb', rows=160)
    batch: int = 16
    smallest: int = 30


@dataclass(frozen=True, eq=False)
class _Seen:
    """The visible points of a view: uv float32 [K, 2], depth float32 [K], proposals, and their spacing in pixels."""

    uv: np.ndarray
    depth: np.ndarray
    proposals: Proposals
    reach: tuple[float, float]

    @property
    def pixel(self) -> np.ndarray:
        return self.uv.astype(np.int32)


class LidarMasks:
    """A ``MaskGenerator``. Without a SAM2, masks are the outlines of the proposals.

    Proposals come from classes of the points where they are given, else from geometry. ``prompted`` counts the prompts
    of the last image.
    """

    def __init__(self, sam: Sam2 | None, settings: LidarMaskSettings | None = None,
                 schema: ClassSchema = SEMANTIC_KITTI) -> None:
        self.sam, self.schema = sam, schema
        self.settings = settings or LidarMaskSettings()
        self.name = f'lidar-{sam.name}' if sam else 'lidar-outlines'
        self.prompted = 0
        cut = self.settings.surface_cut
        self._cutter = SuperpixelMasks(cut) if cut is not None else None

    def provenance(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                   ) -> Provenance:
        cloud = self._needed(cloud)
        settings = {**asdict(self.settings), 'proposals': 'geometry' if point_class is None else self.schema.name}
        del settings['batch']
        settings['encoder'] = 'torch' if self.sam is None or self.sam.encoder is None else 'exported'
        return Provenance(self.name, self.sam.checkpoint if self.sam else '', settings, image_hash(view.image),
                          inputs_hash(cloud, point_class))

    def generate(self, view: CameraView, cloud: PointCloud | None = None, point_class: np.ndarray | None = None
                 ) -> MaskSet:
        """Masks of what the LiDAR and the camera both see; with none together, no mask and a warning.

        Raises InputError without a cloud, for classes of another length, or an image of another size.
        """
        check_view(view)
        provenance = self.provenance(view, cloud, point_class)
        seen = self._see(view, self._needed(cloud), point_class)
        if not len(seen.uv):
            logger.warning('camera %s sees no point of the sweep, so its image gets no masks; check the extrinsics, '
                           'and that image and sweep belong together', view.camera.name)
        prompts = make_prompts(seen.uv, seen.depth, seen.proposals, view.camera, seen.reach, self.settings.prompts)
        self.prompted = len(prompts) if self.sam else 0
        best = self._candidates(view, seen, prompts)
        ids, score, surface = fuse(best, seen.proposals.number, view.image.shape[:2], self.settings.fusion)
        if self._cutter is not None and surface.any():
            score = score[cut_surfaces(ids, surface, self._cutter.cut(view.image), LEAST_PIECE)]
        return make_mask_set(ids, provenance, score, self.settings.smallest, in_place=True)

    def _needed(self, cloud: PointCloud | None) -> PointCloud:
        if cloud is None:
            raise InputError(f'masks {self.name!r} need a LiDAR sweep; give one, or use superpixels')
        return cloud

    def _see(self, view: CameraView, cloud: PointCloud, point_class: np.ndarray | None) -> _Seen:
        if point_class is not None and len(point_class) != len(cloud):
            raise InputError(f'{len(point_class)} classes for a cloud of {len(cloud)} points; give one for each')
        points = project(cloud.xyz, [view.camera])[0]
        seen = np.flatnonzero(visible_points(points, view.camera))
        reach = beam_reach(points, view.camera)
        index = points.index[seen]
        xyz = cloud.xyz[index]
        proposals = (from_geometry(xyz) if point_class is None
                     else from_classes(xyz, point_class[index], self.schema))
        return _Seen(points.uv[seen], points.depth[seen], proposals, reach)

    def _candidates(self, view: CameraView, seen: _Seen, prompts: Sequence[Prompt]) -> list[Candidate]:
        """For each prompt the best of SAM2's masks that agrees with the points, else the outline of the points."""
        settings, pixel = self.settings, seen.pixel
        found: dict[int, Candidate] = {}
        if self.sam is not None and prompts:
            for decoded in decode(self.sam, view.image, prompts, seen.reach, settings.prompts.boxes,
                                  settings.prompts.areas, settings.tiling, settings.batch):
                for place, row in enumerate(decoded.rows):
                    candidate = self._choose(decoded, place, prompts[row], seen, pixel)
                    if candidate is not None:
                        found[row] = candidate
        if self.sam is None or settings.fusion.outlines:
            for row, prompt in enumerate(prompts):
                if row not in found:
                    found[row] = _outlined(prompt, seen, pixel, view.image.shape[:2])
        return [found[row] for row in sorted(found)]

    def _choose(self, decoded: Decoded, place: int, prompt: Prompt, seen: _Seen, pixel: np.ndarray
                ) -> Candidate | None:
        settings = self.settings.fusion
        logits, iou = decoded.logits[place], decoded.iou[place]
        x0, y0, x1, y1 = decoded.rect
        near = np.flatnonzero((seen.uv[:, 0] >= x0) & (seen.uv[:, 0] < x1))
        row = np.minimum(((pixel[near, 1] - y0 + 0.5) * logits.shape[1] / (y1 - y0)).astype(int), logits.shape[1] - 1)
        column = np.minimum(((pixel[near, 0] - x0 + 0.5) * logits.shape[2] / (x1 - x0)).astype(int),
                            logits.shape[2] - 1)
        inside = logits[:, row, column] > 0
        number = seen.proposals.number[near]
        own = number == prompt.proposal
        agrees = agreement(inside, own, (number > 0) & ~own)
        score = np.clip(iou, 0, 1) * stability(logits)
        best = int(np.argmax(score * agrees if settings.granularity else iou))
        if score[best] < settings.least_score:
            return None
        if settings.outlines and agrees[best] < settings.least_agreement:
            return None
        rank = float(score[best] * (agrees[best] if settings.granularity else 1.0))
        crop, rect = _crop(logits[best], decoded.rect)
        if crop.size == 0:
            return None
        return Candidate(prompt.proposal, prompt.surface, crop, rect, rank, near[inside[best]].astype(np.int32))


def _crop(logits: np.ndarray, rect: tuple[int, int, int, int]) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The part of logits [h, w] that is inside, with a cell around it, and its rectangle in the image."""
    rows, columns = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    if not len(rows):
        return np.zeros((0, 0), np.int8), (0, 0, 0, 0)
    h, w = logits.shape
    x0, y0, x1, y1 = rect
    r0, r1, c0, c1 = max(0, rows[0] - 1), min(h, rows[-1] + 2), max(0, columns[0] - 1), min(w, columns[-1] + 2)
    sx, sy = (x1 - x0) / w, (y1 - y0) / h
    inner = (x0 + round(c0 * sx), y0 + round(r0 * sy), x0 + round(c1 * sx), y0 + round(r1 * sy))
    return quantised(logits[r0:r1, c0:c1]), inner


def _outlined(prompt: Prompt, seen: _Seen, pixel: np.ndarray, shape: tuple[int, int]) -> Candidate:
    """The outline of a prompt's points as a candidate, at half the image's resolution."""
    half = (-(-shape[0] // 2), -(-shape[1] // 2))
    area = outline(prompt.pixels // 2, half, (seen.reach[0] / 2, seen.reach[1] / 2))
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    logits = np.where(area[r0:r1, c0:c1], np.int8(8), np.int8(-8))
    rect = (2 * c0, 2 * r0, min(2 * c1, shape[1]), min(2 * r1, shape[0]))
    members = np.flatnonzero(area[pixel[:, 1] // 2, pixel[:, 0] // 2]).astype(np.int32)
    return Candidate(prompt.proposal, prompt.surface, logits, rect, 0.3, members)
