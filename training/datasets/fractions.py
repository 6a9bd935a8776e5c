"""Fixed shares of the training data: everyone who asks for 1 % gets the same scenes, and 1 % lies within 5 %."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from sam2amml_core.errors import InputError
from training.datasets.scans import Scan

USUAL = (0.01, 0.05, 0.1, 0.25, 1.0)
"""The shares that papers on few labels report."""

MANY_SCENES = 100
"""From so many on whole scenes are taken: the smallest usual share is then a scene at least."""


def chosen(scans: Sequence[Scan], fraction: float) -> list[int]:
    """Positions of the scans in a ``fraction`` (above 0, up to 1), ascending; at least one.

    Whole scenes where there are at least 100 of them, else single scans (SemanticKITTI has ten sequences). Scenes, or
    scans, are ranked by a hash of their name, so the choice depends on the names only and smaller shares lie within
    larger ones. Raises InputError outside 0..1.
    """
    if not 0 < fraction <= 1:
        raise InputError(f'data fraction {fraction} must be above 0 and at most 1, usually one of '
                         f'{", ".join(f"{share:g}" for share in USUAL)}')
    if fraction == 1:
        return list(range(len(scans)))
    scenes = sorted({scan.scene for scan in scans}, key=_rank)
    if len(scenes) >= MANY_SCENES:
        taken = set(scenes[:math.ceil(len(scenes) * fraction - 1e-9)])
        return [i for i, scan in enumerate(scans) if scan.scene in taken]
    ranked = sorted(range(len(scans)), key=lambda i: _rank(scans[i].name))
    return sorted(ranked[:max(1, math.ceil(len(scans) * fraction - 1e-9))])


def _rank(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
