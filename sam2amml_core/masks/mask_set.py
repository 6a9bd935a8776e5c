"""Exclusive masks of one image, and what is known about each and about their making."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sam2amml_core.errors import InputError

MAX_MASKS = 65535
"""Ids are unsigned 16 bit, 0 is no mask."""

_ROWS = 16


@dataclass(frozen=True)
class Provenance:
    """Where masks come from; equal provenance of one image means equal masks.

    generator   name of the method
    checkpoint  SHA-256 of the weights, empty for methods without
    settings    all that changes the result, as plain values
    image       ``image_hash`` of the image they were cut from
    inputs      hash of what else went in (the cloud, labels), empty for none
    """

    generator: str
    checkpoint: str = ''
    settings: Mapping[str, object] = field(default_factory=dict)
    image: str = ''
    inputs: str = ''


@dataclass(frozen=True, eq=False)
class MaskSet:
    """K masks that do not overlap.

    id_map      uint16 [H, W], 0 = no mask; mask k (from 1) has row k - 1 in the arrays below
    score       float32 [K], 0..1, of the generator; 1 where it gives none
    area        int32 [K], pixels, at least 1
    box         int32 [K, 4], columns and rows (x0, y0, x1, y1), x1 and y1 exclusive
    """

    id_map: np.ndarray
    score: np.ndarray
    area: np.ndarray
    box: np.ndarray
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.id_map.ndim != 2 or self.id_map.dtype != np.uint16:
            raise InputError(f'id map is {self.id_map.dtype} {self.id_map.shape}; give uint16 [H, W]')
        count = len(self.score)
        if self.area.shape != (count,) or self.box.shape != (count, 4):
            raise InputError(f'{count} scores, areas {self.area.shape} and boxes {self.box.shape} do not fit; '
                             'make mask sets with `make_mask_set`')

    def __len__(self) -> int:
        return len(self.score)

    def check_image(self, image: np.ndarray) -> None:
        """Raises InputError when the masks were cut from another image than this one, uint8 [H, W, 3]."""
        if image.shape[:2] != self.id_map.shape:
            raise InputError(f'masks of {_size(self.id_map.shape)} pixels for an image of {_size(image.shape)}; '
                             'make the masks again from this image')
        if self.provenance.image and self.provenance.image != image_hash(image):
            raise InputError('the masks were made from another image (its hash differs); make them again from this one')


def make_mask_set(labels: np.ndarray, provenance: Provenance, score: np.ndarray | None = None, smallest: int = 1,
                  in_place: bool = False) -> MaskSet:
    """From any non-negative integer map [H, W], 0 = none: ids made dense in ascending order, small masks dropped.

    score     float [max label + 1] or longer, by label; None: 1 for all
    smallest  pixels a mask must have
    in_place  a uint16 map becomes the id map itself, which saves memory
    Raises InputError for more than 65,535 masks or labels below 0.
    """
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f'label map is {labels.dtype} {labels.shape}; give integers [H, W]')
    if labels.size and int(labels.min()) < 0:
        raise InputError(f'label map holds {int(labels.min())}; give labels from 0')
    area = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for block in _row_blocks(labels):
        area += np.bincount(block.ravel(), minlength=len(area))
    kept = np.flatnonzero(area >= max(1, smallest))
    kept = kept[kept > 0]
    if len(kept) > MAX_MASKS:
        raise InputError(f'{len(kept)} masks in one image; 16-bit ids hold {MAX_MASKS}, raise the smallest area')
    table = np.zeros(len(area), np.uint16)
    table[kept] = np.arange(1, len(kept) + 1)
    id_map = labels if in_place and labels.dtype == np.uint16 else np.empty(labels.shape, np.uint16)
    for block, target in zip(_row_blocks(labels), _row_blocks(id_map), strict=True):
        target[:] = table[block]
    scores = np.ones(len(kept), np.float32) if score is None else np.asarray(score, np.float32)[kept]
    return MaskSet(id_map, scores, area[kept].astype(np.int32), _boxes(id_map, len(kept)), provenance)


def image_hash(image: np.ndarray) -> str:
    """Of the pixels and the shape of an image uint8 [H, W, 3]."""
    digest = hashlib.blake2b(repr((image.shape, str(image.dtype))).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _row_blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Views of a few rows each, so that 64-bit temporaries stay small beside the map itself."""
    for start in range(0, array.shape[0], _ROWS):
        yield array[start:start + _ROWS]


def _boxes(id_map: np.ndarray, count: int) -> np.ndarray:
    """int32 [K, 4]. Of several writes to one place the last stays, so the first row of a mask is found backwards."""
    box = np.zeros((count + 1, 4), np.int32)
    box[:, :2] = np.iinfo(np.int32).max
    for number, block in enumerate(_row_blocks(id_map)):
        for axis, turned, first in ((1, block, _ROWS * number), (0, block.T, 0)):
            flat = np.ascontiguousarray(turned).ravel()
            place = np.flatnonzero(flat)
            ids, line = flat[place], (place // max(1, turned.shape[1])).astype(np.int32) + np.int32(first)
            low, high = np.full(count + 1, np.iinfo(np.int32).max, np.int32), np.zeros(count + 1, np.int32)
            low[ids[::-1]] = line[::-1]
            high[ids] = line + 1
            np.minimum(box[:, axis], low, out=box[:, axis])
            np.maximum(box[:, axis + 2], high, out=box[:, axis + 2])
    return box[1:]


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[1]} x {shape[0]}'
