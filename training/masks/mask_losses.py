"""Losses of promptable segmentation: focal and dice on masks, and the error of the predicted IoU.

As in Segment Anything (Kirillov et al. 2023, appendix A: focal : dice = 20 : 1, mean square error of the IoU, only the
best of three masks is trained where a prompt is ambiguous). Masks are compared at the decoder's own resolution, where a
target is the share of a cell that is inside.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def mask_losses(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and true IoU, each [B, M], of masks ``logits`` [B, M, h, w] against ``target`` [B, h, w] in 0..1."""
    wanted = target[:, None].expand_as(logits)
    cross = F.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    probability = torch.sigmoid(logits)
    # a mean over small objects would vanish beside the empty rest: half the weight on the object's surroundings
    area = wanted.sum(dim=(2, 3)).clamp(min=1.0)
    focal = (cross * (probability - wanted).abs().square()).sum(dim=(2, 3)) / (area + 0.01 * logits[0, 0].numel())
    dice = 1 - (2 * (probability * wanted).sum(dim=(2, 3)) + 1) / ((probability + wanted).sum(dim=(2, 3)) + 1)
    with torch.no_grad():
        inside, truth = logits > 0, wanted > 0.5
        union = (inside | truth).sum(dim=(2, 3))
        iou = torch.where(union > 0, (inside & truth).sum(dim=(2, 3)) / union.clamp(min=1), 0.0)
    return 2 * focal + dice, iou


def prompt_loss(logits: torch.Tensor, predicted_iou: torch.Tensor, target: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of a batch and the IoU of its single masks, mean over B.

    logits         [B, 4, h, w]: the single mask, then three for ambiguous prompts
    predicted_iou  [B, 4], 0..1
    target         [B, h, w], 0..1
    """
    loss, iou = mask_losses(logits, target)
    best = loss[:, 1:].min(dim=1).values
    even = loss[:, 1:].mean(dim=1)  # none of the three may die
    error = (predicted_iou - iou).square().mean(dim=1)
    return (loss[:, 0] + best + 0.05 * even + error).mean(), iou[:, 0].mean()
