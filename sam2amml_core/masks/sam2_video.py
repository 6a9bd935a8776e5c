"""Masks that keep their identity over a sequence, by SAM2's memory of the frames before.

The package's own predictor loads a whole video first and keeps every frame; this one takes an image at a time and
forgets what the network does not look at any more. All objects go through the decoder together; pixels that several
claim go to the highest logit.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.masks.fusion import Candidate, paint, quantised
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set
from sam2amml_core.masks.sam2_model import Sam2, normalise

LAST = 1 << 30
"""The network is told that the sequence has so many frames."""


class VideoMasks:
    """One camera's sequence. ``start`` with the masks of an image, then ``follow`` image by image.

    Needs weights whose memory was trained on videos (those of SAM 2.0 and 2.1; not the shipped nano).
    """

    def __init__(self, sam: Sam2, smallest: int = 30) -> None:
        self.sam, self.smallest = sam, smallest
        self._outputs: dict[str, dict[int, dict[str, Any]]] = {}
        self._frame = -1
        self._shape = (0, 0)

    def start(self, image: np.ndarray, masks: MaskSet) -> None:
        """Begin, or begin again, with an image uint8 [H, W, 3] and its masks, whose ids are kept from now on.

        Raises InputError when there is no mask or they are of another image.
        """
        import torch
        from torch.nn import functional as F

        masks.check_image(image)
        if not len(masks):
            raise InputError('there is no mask to follow; start with an image that has some')
        self._shape = (image.shape[0], image.shape[1])
        self._outputs = {'cond_frame_outputs': {}, 'non_cond_frame_outputs': {}}
        self._frame = 0
        size = self.sam.image_size
        with self.sam.inference():
            given = torch.stack([F.interpolate(
                torch.from_numpy(masks.id_map == number)[None, None].float(), (size, size), mode='bilinear',
                align_corners=False, antialias=True)[0] for number in range(1, len(masks) + 1)])
            self._step(image, len(masks), (given >= 0.5).float().to(self.sam.device))

    def follow(self, image: np.ndarray) -> tuple[MaskSet, np.ndarray]:
        """The masks in the next image, and for each of their ids that of the first image, int64 [K + 1], 0 for 0.

        Masks that cannot be seen are missing; they may come back. Raises InputError before ``start``, or for an image
        of another size.
        """
        if self._frame < 0:
            raise InputError('there are no masks to follow yet; call start first')
        if image.shape[:2] != self._shape:
            raise InputError(f'image of {image.shape[1]} x {image.shape[0]} pixels in a sequence of '
                             f'{self._shape[1]} x {self._shape[0]}; start again')
        self._frame += 1
        first = self._outputs['cond_frame_outputs'][0]
        with self.sam.inference():
            logits = self._step(image, len(first['obj_ptr']), None)[:, 0].float().cpu().numpy()
        self._forget()
        rect = (0, 0, self._shape[1], self._shape[0])
        nobody = np.zeros(0, np.int32)
        claims = [Candidate(k, False, quantised(one), rect, 1.0, nobody) for k, one in enumerate(logits, start=1)]
        ids = paint(claims, np.arange(1, len(claims) + 1), self._shape)
        area = np.bincount(ids.ravel(), minlength=len(claims) + 1)
        kept = np.flatnonzero(area >= max(1, self.smallest))
        made = Provenance(f'video-{self.sam.name}', self.sam.checkpoint, {'frame': self._frame}, image_hash(image))
        return make_mask_set(ids, made, smallest=self.smallest, in_place=True), np.concatenate(([0], kept[kept > 0]))

    def _step(self, image: np.ndarray, count: int, given: Any) -> Any:
        """Logits [B, 1, h, w] of all objects; ``given`` float [B, 1, S, S]: their masks in the first frame."""
        import torch

        network, size = self.sam.network, self.sam.image_size
        square = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        pixels = normalise(torch.from_numpy(np.asarray(square))[None].to(self.sam.device))
        seen = network.forward_image(pixels)
        spread = {key: [level.expand(count, -1, -1, -1) for level in seen[key]]
                  for key in ('backbone_fpn', 'vision_pos_enc')}
        _, features, positions, sizes = network._prepare_backbone_features(spread)
        out = network.track_step(
            frame_idx=self._frame, is_init_cond_frame=given is not None, current_vision_feats=features,
            current_vision_pos_embeds=positions, feat_sizes=sizes, point_inputs=None, mask_inputs=given,
            output_dict=self._outputs, num_frames=LAST)
        kept = {key: out[key] for key in ('maskmem_features', 'maskmem_pos_enc', 'obj_ptr')}
        self._outputs['cond_frame_outputs' if given is not None else 'non_cond_frame_outputs'][self._frame] = kept
        return out['pred_masks']

    def _forget(self) -> None:
        """What the memory attention does not reach any more."""
        network = self.sam.network
        reach = max(network.num_maskmem * network.memory_temporal_stride_for_eval, network.max_obj_ptrs_in_encoder)
        outputs = self._outputs['non_cond_frame_outputs']
        for frame in [frame for frame in outputs if frame <= self._frame - reach]:
            del outputs[frame]


def carry_identity(before: np.ndarray, after: np.ndarray, least_iou: float = 0.3) -> np.ndarray:
    """For each id of ``after`` that of the same thing in ``before``, int64 [K + 1]; 0 where there is none.

    Both are id maps [H, W] of one camera, one after the other; each id is given once, to the largest overlap first.
    For masks that were made again (every few images, from the LiDAR) to go on under their names.
    """
    if before.shape != after.shape:
        raise InputError(f'id maps of {before.shape} and {after.shape} are not of one camera')
    old, new = int(before.max(initial=0)) + 1, int(after.max(initial=0)) + 1
    shared = np.bincount(before.ravel().astype(np.int64) * new + after.ravel(), minlength=old * new).reshape(old, new)
    union = shared.sum(axis=1)[:, None] + shared.sum(axis=0)[None] - shared
    iou = shared / np.maximum(union, 1)
    iou[0], iou[:, 0] = 0, 0
    found = np.zeros(new, np.int64)
    for place in np.argsort(-iou, axis=None, kind='stable')[:old + new]:
        one, two = divmod(int(place), new)
        if iou[one, two] < least_iou:
            break
        if found[two] == 0 and one not in found:
            found[two] = one
    return found
