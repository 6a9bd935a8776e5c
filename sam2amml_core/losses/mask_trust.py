"""How far the points of a mask can be trusted to be of one object: masks that straddle jumps in depth bleed."""

from __future__ import annotations

import torch
from torch import Tensor

from sam2amml_core.losses.segments import segment_sum

MIN_GAP_M = 0.5
MIN_SHARE = 0.2
GROUND_SLACK = 1.5


def depth_trust(distance: Tensor, mask: Tensor, beam_spacing_rad: float, sensor_height_m: float = 1.73) -> Tensor:
    """Weights float32 [N] in 0..1 of points at ``distance`` [N] (metres) in ``mask`` int64 [N] (0 = none).

    Ours. The points of a mask, sorted by distance, are cut into runs where the next point is farther away by more than

        gap(r) = max(0.5 m, 1.5 * beam_spacing * r^2 / height)

    which is wider than the distance of two rings on flat ground, so that a road stays whole. A run with less than a
    fifth of the mask's points is what shows past the object's edge: weight 0. The others weigh as much as the share
    of the mask's largest run, so a mask half on a car and half on the wall behind it counts half. Points in no mask: 0.
    """
    trust = torch.zeros(len(mask), dtype=torch.float32, device=mask.device)
    member = torch.nonzero(mask > 0).flatten()
    if not len(member):
        return trust
    near_first = member[torch.argsort(distance[member])]
    order = near_first[torch.argsort(mask[near_first], stable=True)]
    _, owner = torch.unique_consecutive(mask[order], return_inverse=True)
    r = distance[order]
    gap = (GROUND_SLACK * beam_spacing_rad / sensor_height_m * r[:-1] ** 2).clamp(min=MIN_GAP_M)
    starts = torch.ones(len(order), dtype=torch.bool, device=mask.device)
    starts[1:] = (owner[1:] != owner[:-1]) | (r[1:] - r[:-1] > gap)
    run = starts.cumsum(0) - 1
    ones = torch.ones_like(r)
    masks = int(owner[-1]) + 1
    in_mask = segment_sum(ones, owner, masks)
    in_run = segment_sum(ones, run, int(run[-1]) + 1)
    share = in_run[run] / in_mask[owner]
    largest = torch.zeros(masks, dtype=share.dtype, device=share.device).scatter_reduce(0, owner, share, 'amax')
    trust[order] = torch.where(share >= MIN_SHARE, largest[owner], 0.0).float()
    return trust
