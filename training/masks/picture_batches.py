"""Batches of crops of pictures, with prompts for some of their segments and the exact masks as targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.masks.pictures import Picture
from training.masks.prompt_samples import POINTS, sample_prompt
from training.world.classes import WORLD_CLASSES

WEIGHT = np.where([kind.movable for kind in WORLD_CLASSES], 4.0, np.where(np.isin(
    [kind.name for kind in WORLD_CLASSES],
    ['trunk', 'pole', 'traffic-sign', 'other-object', 'barrier', 'traffic-cone']), 1.5, 1.0))
"""How often segments of each world class are asked for: vehicles and people most, then other objects."""


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """B crops of S x S pixels with P prompts each.

    images   uint8 [B, S, S, 3] RGB
    classes  int64 [B, S/4, S/4], world classes, 0 = none
    points   float32 [B * P, POINTS, 2], labels int32 [B * P, POINTS]
    prior    float32 [B * P, S/4, S/4], where has_prior bool [B * P] is set
    target   float32 [B * P, S/4, S/4], share of each cell that is inside
    """

    images: np.ndarray
    classes: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    prior: np.ndarray
    has_prior: np.ndarray
    target: np.ndarray


def draw_batch(rng: np.random.Generator, pictures: Sequence[Picture], size: int, images: int, prompts: int
               ) -> PictureBatch:
    """Random crops of random pictures, changed in colour and mirrored, with random prompts."""
    cell, count = size // 4, images * prompts
    batch = PictureBatch(
        np.zeros((images, size, size, 3), np.uint8), np.zeros((images, cell, cell), np.int64),
        np.zeros((count, POINTS, 2), np.float32), np.full((count, POINTS), -1, np.int32),
        np.zeros((count, cell, cell), np.float32), np.zeros(count, bool), np.zeros((count, cell, cell), np.float32))
    done = 0
    while done < images:
        picture = pictures[int(rng.integers(len(pictures)))]
        image, ids = _crop(rng, picture, size)
        targets = _targets(rng, ids, picture.classes, prompts)
        if not len(targets):
            continue
        batch.images[done] = _recolour(rng, image)
        batch.classes[done] = picture.classes[ids[2::4, 2::4]]
        for slot, target in enumerate(targets, start=done * prompts):
            prompt = sample_prompt(rng, ids, int(target))
            batch.points[slot], batch.labels[slot] = prompt.points, prompt.labels
            if prompt.prior is not None:
                batch.prior[slot], batch.has_prior[slot] = prompt.prior, True
            batch.target[slot] = (ids == target).reshape(cell, 4, cell, 4).mean(axis=(1, 3))
        done += 1
    return batch


def _crop(rng: np.random.Generator, picture: Picture, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 [S, S, 3] and ids [S, S] of a random window: the whole picture squeezed, or a nearly square part."""
    height, width = picture.ids.shape
    share = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.7 else 1.0
    rows = max(48, round(height * share))
    columns = width if rng.random() < 0.2 else round(rows * float(np.exp(rng.uniform(np.log(0.75), np.log(1.5)))))
    columns = min(columns, width)
    y, x = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    image = cv2.resize(picture.image[y:y + rows, x:x + columns], (size, size), interpolation=cv2.INTER_AREA)
    ids = cv2.resize(picture.ids[y:y + rows, x:x + columns], (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        image, ids = image[:, ::-1], ids[:, ::-1]
    return np.asarray(image, np.uint8), np.ascontiguousarray(ids, np.uint16)


def _targets(rng: np.random.Generator, ids: np.ndarray, classes: np.ndarray, prompts: int) -> np.ndarray:
    """Segments to ask for, with repetition where there are few; objects more often than surfaces."""
    area = np.bincount(ids.ravel(), minlength=len(classes))
    smallest = max(12, ids.size // 500)
    candidates = np.flatnonzero((area >= smallest) & (np.arange(len(area)) > 0))
    if not len(candidates):
        return candidates
    weight = WEIGHT[classes[candidates]]
    return rng.choice(candidates, prompts, replace=len(candidates) < prompts, p=weight / weight.sum())


def _recolour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Another exposure, contrast and colour; sometimes out of focus."""
    gain = rng.uniform(0.75, 1.3) * (1 + rng.normal(0, 0.05, 3))
    changed = (image.astype(np.float32) - 128) * np.float32(rng.uniform(0.75, 1.25)) + 128
    changed = np.clip(changed * gain.astype(np.float32) + np.float32(rng.uniform(-15, 15)), 0, 255)
    if rng.random() < 0.15:
        changed = np.asarray(cv2.GaussianBlur(changed, (3, 3), float(rng.uniform(0.4, 1.2))))
    return changed.astype(np.uint8)
