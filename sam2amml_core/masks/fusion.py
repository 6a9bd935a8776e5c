"""Multi-mask fusion: among SAM2's candidates for all prompts, which are kept, and who gets a pixel that several claim.

Nothing here is as large as the image but the result: a candidate is a crop of low-resolution logits, 8 bits each, and
is enlarged a few rows at a time when the id map is painted, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LOGIT_STEP = 1 / 8
STRIP = 8
"""Rows painted at a time."""


@dataclass(frozen=True)
class FusionSettings:
    """granularity: choose among the candidates of a prompt by agreement with the 3D cluster, else by predicted IoU;
    merge: proposals that cover each other's points are one object; suppress: drop candidates that mostly repeat a
    better one; outlines: where no candidate agrees with the cluster, the outline of its points is the mask; the
    thresholds are those of predicted IoU times stability (least_score), and of agreement, all 0..1."""

    granularity: bool = True
    merge: bool = True
    suppress: bool = True
    outlines: bool = True
    least_score: float = 0.3
    least_agreement: float = 0.5
    merge_share: float = 0.7
    suppress_share: float = 0.8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask for a proposal.

    logits   int8 [h, w], in steps of ``LOGIT_STEP``, of the image rectangle ``rect`` (x0, y0, x1, y1), pixels
    score    0..1, of the generator, and agreement with the 3D points
    members  int32 [n], the points inside it, as rows of the visible points
    """

    proposal: int
    surface: bool
    logits: np.ndarray
    rect: tuple[int, int, int, int]
    score: float
    members: np.ndarray


def quantised(logits: np.ndarray) -> np.ndarray:
    """int8 of logits, clipped at +-15.9."""
    return np.clip(np.rint(logits / LOGIT_STEP), -127, 127).astype(np.int8)


def stability(logits: np.ndarray, offset: float = 1.0) -> np.ndarray:
    """Segment Anything's stability score of masks [..., h, w]: IoU of the masks cut at +offset and at -offset."""
    high = (logits > offset).sum(axis=(-1, -2))
    low = (logits > -offset).sum(axis=(-1, -2))
    return high / np.maximum(low, 1)


def agreement(inside: np.ndarray, own: np.ndarray, rival: np.ndarray) -> np.ndarray:
    """IoU over points, [M]: of masks ``inside`` bool [M, K] with the points of a proposal, ``own`` bool [K].

    rival  bool [K]: points whose presence speaks against a mask, those of other proposals
    """
    hit = (inside & own).sum(axis=1)
    return hit / np.maximum(own.sum() + (inside & rival).sum(axis=1), 1)


def fuse(candidates: Sequence[Candidate], number: np.ndarray, shape: tuple[int, int], settings: FusionSettings
         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Id map uint16 [H, W]; by id, 0 = none: score float32 [K + 1], and bool [K + 1], whether it is a surface.

    number  int32 [N], the proposal of each visible point
    Surfaces lie below objects; among equals the higher logit has the pixel.
    """
    kept = list(candidates)
    if settings.merge:
        kept = _merged(kept, number, settings.merge_share)
    if settings.suppress:
        kept = _without_repeats(kept, settings.suppress_share, len(number))
    kept.sort(key=lambda c: (not c.surface, c.score))
    ids = paint(kept, np.arange(1, len(kept) + 1), shape)
    return ids, np.array([0.0, *(c.score for c in kept)], np.float32), np.array([False, *(c.surface for c in kept)])


def paint(candidates: Sequence[Candidate], numbers: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Id map uint16 [H, W]: a pixel gets the number of the candidate that claims it most, 0 where none does."""
    ids, best = np.zeros(shape, np.uint16), np.zeros(shape, np.int8)
    for candidate, number in zip(candidates, numbers, strict=True):
        _paint(candidate, int(number), ids, best)
    return ids


def _paint(candidate: Candidate, number: int, ids: np.ndarray, best: np.ndarray) -> None:
    """Objects use the values 65..127 of ``best``, surfaces 1..63, so that objects always lie above."""
    x0, y0, x1, y1 = candidate.rect
    h, w = candidate.logits.shape
    left, lift = (0, 0) if candidate.surface else (0, 64)
    columns = ((np.arange(x1 - x0) + 0.5) * (w / (x1 - x0)) - 0.5).astype(np.float32)
    a = np.clip(np.floor(columns), 0, w - 1).astype(np.int32)
    b = np.minimum(a + 1, w - 1)
    across = np.clip(columns - a, 0, 1).astype(np.float32)
    for top in range(y0, y1, STRIP):
        rows = ((np.arange(top, min(top + STRIP, y1)) + 0.5 - y0) * (h / (y1 - y0)) - 0.5).astype(np.float32)
        c = np.clip(np.floor(rows), 0, h - 1).astype(np.int32)
        down = np.clip(rows - c, 0, 1).astype(np.float32)[:, None]
        strip = candidate.logits[c] * (1 - down) + candidate.logits[np.minimum(c + 1, h - 1)] * down
        values = strip[:, a] * (1 - across) + strip[:, b] * across
        claim = np.where(values > 0, np.clip(values * 0.5, 1, 63) + lift, left).astype(np.int8)
        here = best[top:top + len(rows), x0:x1]
        won = claim > here
        here[won] = claim[won]
        ids[top:top + len(rows), x0:x1][won] = number


def _merged(candidates: list[Candidate], number: np.ndarray, share: float) -> list[Candidate]:
    """Of two objects each of whose masks covers most points of the other, the better mask stands for both."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if not candidate.surface and any(_same_object(candidate, other, number, share) for other in kept):
            continue
        kept.append(candidate)
    return kept


def _same_object(one: Candidate, two: Candidate, number: np.ndarray, share: float) -> bool:
    if two.surface or one.proposal == two.proposal:
        return False
    covers = (number[one.members] == two.proposal).sum() >= share * max(1, (number == two.proposal).sum())
    covered = (number[two.members] == one.proposal).sum() >= share * max(1, (number == one.proposal).sum())
    return bool(covers and covered)


def _without_repeats(candidates: list[Candidate], share: float, points: int) -> list[Candidate]:
    """Without candidates whose points mostly lie in one better mask of their kind, which holds little else."""
    kept: list[Candidate] = []
    inside: list[np.ndarray] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        here = np.zeros(points, bool)
        here[candidate.members] = True
        count = int(here.sum())
        repeats = any(other.surface == candidate.surface
                      and int((here & there).sum()) >= share * max(1, count, int(there.sum()))
                      for other, there in zip(kept, inside, strict=True))
        if not repeats:
            kept.append(candidate)
            inside.append(here)
    return kept
