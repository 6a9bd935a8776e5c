"""SAM2 on images: tiles instead of one squeezed square, and prompts decoded to low-resolution logits only.

SAM2 squeezes any image into a square; a person in a picture three times as wide as high becomes a third as wide. So an
image is looked at as a whole, in nearly square tiles and in tiles half as high; a prompt goes to the smallest of them
that holds its box with something around it, and only tiles with prompts are encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam2amml_core.masks.outlines import outline, prior_logits
from sam2amml_core.masks.prompts import Prompt
from sam2amml_core.masks.sam2_model import Sam2, normalise

OUTPUTS = ('fine', 'medium', 'top')
"""Of an exported encoder."""

LARGEST = 0.5
"""Of a half tile: a box may not be larger, so that its surroundings are seen too."""


@dataclass(frozen=True)
class Decoded:
    """What the decoder says to B prompts in one tile ``rect`` (x0, y0, x1, y1).

    rows    positions of the prompts in the list they came in
    logits  float32 [B, 4, h, w]: the single mask, then three for ambiguous prompts; iou float32 [B, 4], predicted
    """

    rect: tuple[int, int, int, int]
    rows: tuple[int, ...]
    logits: np.ndarray
    iou: np.ndarray


def tiles(width: int, height: int, enabled: bool = True) -> list[tuple[int, int, int, int]]:
    """Rectangles (x0, y0, x1, y1): the whole image, nearly square tiles where it is wide, and tiles of half that size.

    Tiles overlap by a quarter, half tiles by a half.
    """
    whole = [(0, 0, width, height)]
    if not enabled:
        return whole
    side = min(width, round(1.2 * height))
    tall = _grid(width, height, side, height, 0.75) if width > side else []
    return [*whole, *tall, *_grid(width, height, side // 2, height // 2, 0.5)]


def _grid(width: int, height: int, columns: int, rows: int, step: float) -> list[tuple[int, int, int, int]]:
    """Rectangles of one size that cover an image, at most ``step`` of their size apart."""
    across = np.linspace(0, width - columns, int(np.ceil((width - columns) / (step * columns))) + 1)
    down = np.linspace(0, height - rows, int(np.ceil((height - rows) / (step * rows))) + 1)
    return [(round(x), round(y), round(x) + columns, round(y) + rows) for y in down.tolist() for x in across.tolist()]


def place(prompts: Sequence[Prompt], rects: Sequence[tuple[int, int, int, int]], width: int, height: int) -> np.ndarray:
    """int [P]: the rectangle of each prompt: of the smallest that hold its box the most central, else 0, the image."""
    corners = np.array(rects, np.float64)
    size = corners[:, 2:] - corners[:, :2]
    half = size[:, 1] < height
    chosen = np.zeros(len(prompts), np.int64)
    for row, prompt in enumerate(prompts):
        box = prompt.box.astype(np.float64)
        holds = (corners[:, :2] <= box[:2]).all(axis=1) & (corners[:, 2:] >= box[2:]).all(axis=1)
        holds &= ~half | ((box[2:] - box[:2]) <= LARGEST * size).all(axis=1)
        off = np.abs(corners[:, :2] + corners[:, 2:] - box[:2] - box[2:]).max(axis=1)
        order = np.lexsort((off, size.prod(axis=1), ~holds))
        chosen[row] = order[0] if holds[order[0]] else 0
    return chosen


def decode(sam: Sam2, image: np.ndarray, prompts: Sequence[Prompt], reach: tuple[float, float], boxes: bool = True,
           areas: bool = True, tiling: bool = True, batch: int = 16) -> Iterator[Decoded]:
    """Masks for prompts in an image uint8 [H, W, 3], in batches.

    reach        half the distance of neighbouring LiDAR points, pixels
    boxes, areas whether these parts of the prompts are used
    """
    height, width = image.shape[:2]
    rects = tiles(width, height, tiling)
    chosen = place(prompts, rects, width, height)
    for number, rect in enumerate(rects):
        rows = np.flatnonzero(chosen == number)
        if not len(rows):
            continue
        with sam.inference():
            features = _encode(sam, image, rect)
        for start in range(0, len(rows), batch):
            some = rows[start:start + batch]
            with sam.inference():
                logits, iou = _predict(sam, features, [prompts[row] for row in some], rect, reach, boxes, areas)
            yield Decoded(rect, tuple(int(row) for row in some), logits, iou)


def _predict(sam: Sam2, features: tuple, prompts: Sequence[Prompt], rect: tuple[int, int, int, int],
             reach: tuple[float, float], boxes: bool, areas: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits and predicted IoU, as ``Decoded`` has them, of prompts in one tile."""
    import torch

    network, size = sam.network, sam.image_size
    top, fine = features
    points, labels = (torch.from_numpy(array).to(sam.device) for array in _points(prompts, rect, size, boxes))
    area = None
    if areas:
        area = torch.from_numpy(np.stack([_area(prompt, rect, size, reach) for prompt in prompts])[:, None])
        area = area.to(sam.device)
    sparse, dense = network.sam_prompt_encoder((points, labels), None, area)
    logits, iou, _, _ = network.sam_mask_decoder.predict_masks(
        top, network.sam_prompt_encoder.get_dense_pe(), sparse, dense, True, fine)
    return logits.float().cpu().numpy(), iou.float().cpu().numpy()


def _encode(sam: Sam2, image: np.ndarray, rect: tuple[int, int, int, int]) -> tuple:
    """Embedding [1, C, h, w] of one tile, and the finer features or None."""
    import torch

    x0, y0, x1, y1 = rect
    size = sam.image_size
    shrinks = x1 - x0 >= size and y1 - y0 >= size
    square = cv2.resize(image[y0:y1, x0:x1], (size, size),
                        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    network = sam.network
    pixels = normalise(torch.from_numpy(np.asarray(square))[None].to(sam.device))
    if sam.encoder is not None:
        made = sam.encoder.run({'image': np.ascontiguousarray(pixels.cpu().numpy())}, OUTPUTS)
        levels = [torch.from_numpy(level).to(sam.device) for level in made]
    else:
        levels = network.forward_image(pixels)['backbone_fpn']
    top = levels[-1]
    if network.directly_add_no_mem_embed:
        top = top + network.no_mem_embed.reshape(1, -1, 1, 1)
    return top, levels[:2] if network.use_high_res_features_in_sam else None


def _points(prompts: Sequence[Prompt], rect: tuple[int, int, int, int], size: int, boxes: bool
            ) -> tuple[np.ndarray, np.ndarray]:
    """Pixels float32 [B, n, 2] of the square and labels int32 [B, n] (1 in, 0 out, 2 and 3 box corners, -1 none).

    The encoder adds half a pixel to all, as to pixel indices.
    """
    slots = max(len(prompt.points) for prompt in prompts) + (2 if boxes else 0)
    points = np.zeros((len(prompts), max(1, slots), 2), np.float32)
    labels = np.full(points.shape[:2], -1, np.int32)
    for row, prompt in enumerate(prompts):
        corners = prompt.box.reshape(2, 2) if boxes else np.zeros((0, 2), np.float32)
        used = len(corners) + len(prompt.points)
        points[row, :used] = np.concatenate((corners, prompt.points))
        labels[row, :used] = [2, 3][:len(corners)] + prompt.inside.astype(int).tolist()
    scale = np.array((size / (rect[2] - rect[0]), size / (rect[3] - rect[1])), np.float32)
    return (points - np.array(rect[:2], np.float32)) * scale - np.float32(0.5), labels


def _area(prompt: Prompt, rect: tuple[int, int, int, int], size: int, reach: tuple[float, float]) -> np.ndarray:
    """The area of a prompt's points as logits float32 [size / 4, size / 4]."""
    scale = np.array((size / (rect[2] - rect[0]), size / (rect[3] - rect[1])))
    pixel = np.floor((prompt.pixels + 0.5 - rect[:2]) * scale).astype(np.int32)
    return prior_logits(outline(pixel, (size, size), (reach[0] * scale[0], reach[1] * scale[1])))
