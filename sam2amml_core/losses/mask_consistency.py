"""Mask consistency: points that fall into one mask of an image should get one label (the loss of SAM2-AMML).

No formula of SAM2-AMML has been published; what follows is our own design after its abstract, unless a source is named.
A mask m has points i with logits z_i, p_i = softmax(z_i), trust u_i, and sg stops the gradient:

    w_i = u_i * max_c sg p_i                    confident points teach more
    q_m = sg sum_i w_i p_i / sum_i w_i          what the mask as a whole says
    r_m = purity: of its labels where it has some, else max_c q_m
    a_m = r_m * n_m^(1/2) * b_m if n_m >= 3 and r_m is large enough, else 0,      n_m = sum_i u_i
    b_m = weight of its commonest label where it has some, else sum_c q_m[c] weight[c]; without class weights 1
    L   = sum_m a_m (1 / n_m) sum_i u_i D(q_m, p_i) / sum_m a_m

Each mask is averaged before masks are, so a large mask counts by the root of its size only. With a teacher, another
network (averaged weights: Tarvainen and Valpola, 2017) says the p_i that w_i and q_m are made of. A mask that labels
know to be of class y_m also has a vote, one per object however many points it has:

    V   = sum_m a_m (-log pbar_m[y_m]) / sum_m a_m,       pbar_m = sum_i u_i p_i / n_m   with its gradient

The divergences D:

    kl               KL(q_m || p_i), gradient (p_i - q_m): bounded, and never lost on points that are surely wrong
    logit_variance   |z_i - mean_m z|^2 / C                    after SAM_RS (Ma et al., TGRS 2024)
    jensen_shannon   KL(p_i || mean_m p), gradient through both
    hard_majority    -log p_i[argmax_c q_m]
    prototype        contrast of features with the masks' mean features, after S2C (Kweon and Yoon, CVPR 2024);
                     masks that say the same class are not pushed apart
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from sam2amml_core.errors import InputError
from sam2amml_core.losses.segments import segment_mean, segment_sum

Divergence = Literal['kl', 'logit_variance', 'jensen_shannon', 'hard_majority', 'prototype']

OWN_MEAN: tuple[Divergence, ...] = ('logit_variance', 'jensen_shannon')
"""Divergences from the points' own mean, through which the gradient flows: no teacher can replace it."""


@dataclass(frozen=True)
class ConsistencySettings:
    """Which divergence, and which masks count.

    min_points        masks with less trust in all are left out
    min_label_purity  masks whose labels agree less are left out
    min_agreement     masks without labels: left out if the mean prediction is less sure
    label_mix         how much of a pure mask's own label goes into what the mask says
    temperature       prototype: of the contrast
    """

    divergence: Divergence = 'kl'
    min_points: float = 3.0
    min_label_purity: float = 0.8
    min_agreement: float = 0.6
    label_mix: float = 0.5
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.divergence not in get_args(Divergence):
            raise InputError(f'no divergence {self.divergence!r}; choose one of {", ".join(get_args(Divergence))}')


@dataclass(frozen=True, eq=False)
class Consistency:
    """The loss L and the vote V, and what to watch: masks there were, and those that counted."""

    loss: Tensor
    vote: Tensor
    masks: int
    active_masks: int


@dataclass(frozen=True, eq=False)
class _Masks:
    """M masks with their P points: mask of each point, what each mask says, its size and weight; all detached.

    ``labelled``, what of the weight belongs to masks with labels, whose commonest is ``label`` (counted from 0).
    """

    owner: Tensor
    trust: Tensor
    size: Tensor
    target: Tensor
    weight: Tensor
    label: Tensor
    labelled: Tensor


def mask_consistency(scores: Tensor, mask: Tensor, settings: ConsistencySettings, *, trust: Tensor | None = None,
                     label: Tensor | None = None, features: Tensor | None = None,
                     teacher: Tensor | None = None, class_weight: Tensor | None = None) -> Consistency:
    """Consistency of ``scores`` [N, C] (logits) with masks.

    mask      int64 [N], 0 = no mask; ids of different images and sweeps of a batch must differ
    trust     float [N] in 0..1, how sure it is that the point belongs to its mask; None: all 1
    label     int64 [N] train ids, 0 = unknown; None: without labels. They judge and sharpen masks
    features  float [N, D], for ``prototype`` alone
    teacher   float [N, C], logits of another network, whose masks' means are then what points should say; None: own.
              ``logit_variance`` and ``jensen_shannon`` have no such mean, and are refused
    class_weight  float [C], how much masks of each class count; None: all 1

    Without any mask that counts both losses are 0 and still have a gradient. Raises ``InputError`` on arrays that do
    not match.
    """
    _check(scores, mask, settings, trust=trust, label=label, features=features, teacher=teacher)
    if class_weight is not None and class_weight.shape != scores.shape[1:]:
        raise InputError(f'class_weight has shape {list(class_weight.shape)} for {scores.shape[1]} classes; give one '
                         'for each class')
    point = torch.nonzero(mask > 0).flatten()
    if not len(point):
        return Consistency(scores.sum() * 0, scores.sum() * 0, 0, 0)
    _, owner = torch.unique(mask[point], return_inverse=True)
    logits = scores[point].float()
    log_p = logits.log_softmax(1)
    u = torch.ones(len(point), device=scores.device) if trust is None else trust[point].float()
    told = log_p if teacher is None else teacher[point].float().log_softmax(1)
    masks = _judge(told.detach(), owner, u, None if label is None else label[point], settings, class_weight)
    if settings.divergence == 'prototype' and features is not None:
        distance = _prototype(features[point].float(), masks, settings.temperature)
    else:
        distance = _divergence(logits, log_p, masks, settings.divergence)
    per_mask = segment_sum(masks.trust * distance, owner, len(masks.size)) / masks.size.clamp(min=1e-6)
    loss = (masks.weight * per_mask).sum() / masks.weight.sum().clamp(min=1e-6)
    return Consistency(loss, _vote(log_p, masks), len(masks.size), int((masks.weight > 0).sum()))


def warm_up(progress: float, start: float = 0.05, length: float = 0.10) -> float:
    """Factor of the loss at ``progress`` 0..1 of training: 0 before ``start``, then linearly to 1."""
    return min(max((progress - start) / length, 0.0), 1.0)


def _judge(log_p: Tensor, owner: Tensor, u: Tensor, label: Tensor | None, settings: ConsistencySettings,
           class_weight: Tensor | None = None) -> _Masks:
    count = int(owner.max()) + 1
    p = log_p.exp()
    size = segment_sum(u, owner, count)
    target = segment_mean(p, u * p.max(1).values, owner, count)
    said_by_points, purity = target, target.max(1).values
    limit = torch.full_like(purity, settings.min_agreement)
    has_label, said = torch.zeros_like(purity, dtype=torch.bool), target.argmax(1)
    if label is not None:
        votes = segment_sum(F.one_hot(label, p.shape[1] + 1)[:, 1:].float() * u[:, None], owner, count)
        known = votes.sum(1)
        has_label = known > 0
        label_purity = votes.max(1).values / known.clamp(min=1e-6)
        purity = torch.where(has_label, label_purity, purity)
        limit = torch.where(has_label, torch.full_like(limit, settings.min_label_purity), limit)
        mix = (settings.label_mix * has_label)[:, None]
        said = votes.argmax(1)
        target = (1 - mix) * target + mix * F.one_hot(said, p.shape[1])
    counts = (size >= settings.min_points) & (purity >= limit)
    weight = torch.where(counts, purity * size.sqrt(), 0.0)
    if class_weight is not None:
        weight = weight * torch.where(has_label, class_weight[said], said_by_points @ class_weight)
    return _Masks(owner, u, size, target, weight, said, weight * has_label)


def _vote(log_p: Tensor, masks: _Masks) -> Tensor:
    right = log_p.gather(1, masks.label[masks.owner][:, None]).squeeze(1).exp()
    share = segment_sum(masks.trust * right, masks.owner, len(masks.size)) / masks.size.clamp(min=1e-6)
    return (masks.labelled * -share.clamp(min=1e-6).log()).sum() / masks.labelled.sum().clamp(min=1e-6)


def _divergence(logits: Tensor, log_p: Tensor, masks: _Masks, kind: Divergence) -> Tensor:
    """D(q, p_i) of every point, [P]."""
    owner, count = masks.owner, len(masks.size)
    if kind == 'logit_variance':
        mean = segment_mean(logits, masks.trust, owner, count)
        return (logits - mean[owner]).square().mean(1)
    if kind == 'jensen_shannon':
        p = log_p.exp()
        mean = segment_mean(p, masks.trust, owner, count).clamp(min=1e-12)
        return (p * (log_p - mean.log()[owner])).sum(1)
    if kind == 'hard_majority':
        return -log_p.gather(1, masks.target.argmax(1)[owner][:, None]).squeeze(1)
    # the entropy of q has no gradient, but with it the loss is 0 exactly where points agree with their mask
    entropy = torch.special.entr(masks.target).sum(1)
    return -(masks.target[owner] * log_p).sum(1) - entropy[owner]


def _prototype(features: Tensor, masks: _Masks, temperature: float) -> Tensor:
    """Cross-entropy of picking the own mask's prototype, among those of masks that say another class; [P]."""
    count = len(masks.size)
    f = F.normalize(features, dim=1)
    prototype = F.normalize(segment_mean(f.detach(), masks.trust, masks.owner, count), dim=1)
    said = masks.target.argmax(1)
    same = (said[:, None] == said[None, :]) & ~torch.eye(count, dtype=torch.bool, device=f.device)
    excluded = same | (masks.weight == 0)[None, :]
    excluded.fill_diagonal_(False)
    similarity = (f @ prototype.T / temperature).masked_fill(excluded[masks.owner], -torch.inf)
    return F.cross_entropy(similarity, masks.owner, reduction='none')


def _check(scores: Tensor, mask: Tensor, settings: ConsistencySettings, **given: Tensor | None) -> None:
    if scores.ndim != 2:
        raise InputError(f'scores have shape {list(scores.shape)}; give [points, classes]')
    for name, values in {'mask': mask, **given}.items():
        if values is not None and len(values) != len(scores):
            raise InputError(f'{name} has {len(values)} rows for {len(scores)} points; give one for each point')
    teacher = given['teacher']
    if teacher is not None and teacher.shape != scores.shape:
        raise InputError(f'teacher has shape {list(teacher.shape)}, scores {list(scores.shape)}; give the same')
    if teacher is not None and settings.divergence in OWN_MEAN:
        raise InputError(f'divergence {settings.divergence!r} measures points against their own mean and takes no '
                         'teacher; choose kl, hard_majority or prototype')
    if settings.divergence == 'prototype' and given['features'] is None:
        raise InputError("divergence 'prototype' needs features of the points; give a backbone that returns them")
