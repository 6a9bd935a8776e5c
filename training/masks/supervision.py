"""What masks could teach: of the points that training sees, how many lie in masks, and how often masks are right."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from sam2amml_core.geometry.projection import project
from sam2amml_core.losses.mask_consistency import ConsistencySettings
from sam2amml_core.losses.mask_trust import depth_trust
from training.datasets.scans import MaskIds, ScanSet


@dataclass(frozen=True)
class Supervision:
    """Sums over sweeps; add them up, then read the shares. Only points with a label count.

    points, in_view   all, and those that fall into an image
    masked, pure      points in a mask, and those that have the commonest class of their mask
    trusted           trust of the points in masks that the loss would use where labels are known: large and pure enough
    trusted_pure      of it, that of points with the commonest class of their mask
    masks, used       masks that hold a labelled point, and those that the loss would use
    """

    points: int = 0
    in_view: int = 0
    masked: int = 0
    pure: int = 0
    trusted: float = 0.0
    trusted_pure: float = 0.0
    masks: int = 0
    used: int = 0
    sweeps: int = 0

    def __add__(self, other: Supervision) -> Supervision:
        return Supervision(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def row(self) -> dict[str, float]:
        """Counts per sweep, and shares in percent."""
        def percent(part: float, whole: float) -> float:
            return round(100 * part / max(whole, 1e-9), 1)

        return {'masks per sweep': round(self.masks / max(1, self.sweeps), 1),
                'points in view %': percent(self.in_view, self.points),
                'of them in masks %': percent(self.masked, self.in_view),
                'purity %': percent(self.pure, self.masked),
                'masks used %': percent(self.used, self.masks),
                'trusted points in view %': percent(self.trusted, self.in_view),
                'their purity %': percent(self.trusted_pure, self.trusted)}


def supervision(data: ScanSet, index: int, masks: MaskIds, spacing_rad: float, height_m: float) -> Supervision:
    """Of one labelled sweep; the LiDAR has beams ``spacing_rad`` apart and hangs ``height_m`` above the ground.

    Raises InputError for files that are missing or damaged.
    """
    xyz, truth = data.cloud(index).xyz, data.truth(index)
    if truth is None:
        return Supervision()
    ids = masks(data, index).astype(np.int64)
    in_view = project(xyz, [view.camera for view in data.views(index, images=False)]).inside.any(axis=0)
    distance = torch.from_numpy(np.linalg.norm(xyz, axis=1).astype(np.float32))
    trust = depth_trust(distance, torch.from_numpy(ids), spacing_rad, height_m).numpy().astype(np.float64)
    known = truth.label > 0
    inside = known & (ids > 0)
    _, owner = np.unique(ids[inside], return_inverse=True)
    count, label, weight = int(owner.max(initial=-1)) + 1, truth.label[inside].astype(np.int64), trust[inside]
    cells = owner * 256 + label
    votes = np.bincount(cells, minlength=count * 256).reshape(count, 256)
    trusted = np.bincount(cells, weight, minlength=count * 256).reshape(count, 256)
    settings, size = ConsistencySettings(), trusted.sum(axis=1)
    used = (size >= settings.min_points) & (trusted.max(axis=1, initial=0) >= settings.min_label_purity * size)
    return Supervision(int(known.sum()), int((known & in_view).sum()), int(inside.sum()),
                       int(votes.max(axis=1, initial=0).sum()), float(size[used].sum()),
                       float(trusted[used].max(axis=1, initial=0).sum()), count, int(used.sum()), 1)
