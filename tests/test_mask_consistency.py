"""The consistency loss: what it measures, its gradients, and what it must not depend on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch

from sam2amml_core.errors import InputError
from sam2amml_core.losses.mask_consistency import ConsistencySettings, Divergence, mask_consistency, warm_up
from sam2amml_core.losses.mask_trust import depth_trust

KINDS = get_args(Divergence)
LENIENT = ConsistencySettings(min_points=1.0, min_agreement=0.0, min_label_purity=0.0)


def batch(points: int = 40, classes: int = 5, masks: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {'scores': torch.randn(points, classes, generator=generator, dtype=torch.float32) * 2,
            'mask': torch.randint(0, masks + 1, (points,), generator=generator),
            'trust': torch.rand(points, generator=generator),
            'label': torch.randint(0, classes + 1, (points,), generator=generator),
            'features': torch.randn(points, 8, generator=generator)}


def loss_of(data: dict[str, torch.Tensor], kind: Divergence) -> torch.Tensor:
    rest = {name: data[name] for name in ('trust', 'label', 'features')}
    return mask_consistency(data['scores'], data['mask'], replace(LENIENT, divergence=kind), **rest).loss


def test_kl_of_two_masks_worked_out_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    found = mask_consistency(p.log(), torch.tensor([7, 7, 7, 0]), LENIENT)
    # weights .9, .6, .5: q0 = (.81 + .36 + .25) / 2
    q = torch.tensor([0.71, 0.29])
    expected = sum(float((q * (q / row).log()).sum()) for row in p[:3]) / 3
    assert float(found.loss) == pytest.approx(expected, rel=1e-5)
    assert (found.masks, found.active_masks) == (1, 1)


def test_masks_count_by_the_root_of_their_size() -> None:
    agree, differ = [[3.0, 0.0]] * 16, [[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, 3.0]]
    settings = replace(LENIENT, divergence='hard_majority')

    def loss(rows: list[list[float]], mask: list[int]) -> float:
        return float(mask_consistency(torch.tensor(rows), torch.tensor(mask), settings).loss)

    sure = torch.tensor([3.0, 0.0]).softmax(0)
    purity_a, purity_b = float(sure[0]), 0.5
    one, two = loss(agree, [1] * 16), loss(differ, [1] * 4)
    a, b = purity_a * 16 ** 0.5, purity_b * 4 ** 0.5
    assert loss(agree + differ, [1] * 16 + [2] * 4) == pytest.approx((a * one + b * two) / (a + b), rel=1e-5)


def test_masks_count_by_the_weight_of_what_they_say() -> None:
    scores = torch.tensor([[3.0, 0.0], [0.0, 3.0], [2.0, 0.0], [2.0, 0.0]])
    mask, weight = torch.tensor([1, 1, 2, 2]), torch.tensor([1.0, 5.0])
    labels = torch.tensor([2, 2, 1, 1])

    def loss(label: torch.Tensor | None, rows: slice = slice(None), weight: torch.Tensor | None = None) -> float:
        return float(mask_consistency(scores[rows], mask[rows], LENIENT, label=None if label is None else label[rows],
                                      class_weight=weight).loss)

    parts = [loss(labels, slice(2)), loss(labels, slice(2, 4))]
    assert loss(labels, weight=weight) == pytest.approx((5 * parts[0] + 1 * parts[1]) / 6, rel=1e-5)
    # without labels: purity .5 times 3, and as sure as the points of the second say
    parts, sure = [loss(None, slice(2)), loss(None, slice(2, 4))], float(scores[2].softmax(0)[0])
    a, b = 0.5 * 3, sure * (sure + 5 * (1 - sure))
    assert loss(None, weight=weight) == pytest.approx((a * parts[0] + b * parts[1]) / (a + b), abs=1e-6)


@pytest.mark.parametrize('kind', KINDS)
def test_gradient_is_that_of_finite_differences(kind: Divergence) -> None:
    data = batch(12, 3, 2)
    labels, mask = data['label'] % 3 + 1, data['mask']
    settings = replace(LENIENT, divergence=kind, label_mix=1.0)  # what the masks say then hangs on labels alone
    name = 'features' if kind == 'prototype' else 'scores'
    free = {key: data[key].clone().requires_grad_(key == name) for key in ('scores', 'features')}
    mask_consistency(free['scores'], mask, settings, label=labels, features=free['features']).loss.backward()
    gradient = free[name].grad
    assert gradient is not None
    step = 1e-2
    for i, j in ((0, 0), (3, 1), (7, 2), (11, 0)):
        values = []
        for sign in (1, -1):
            moved = {key: data[key].clone() for key in ('scores', 'features')}
            moved[name][i, j] += sign * step
            values.append(_without_moving_targets(moved, data, mask, labels, settings, kind))
        numeric = (values[0] - values[1]) / (2 * step)
        assert float(gradient[i, j]) == pytest.approx(numeric, abs=2e-3)


def _without_moving_targets(moved: dict[str, torch.Tensor], data: dict[str, torch.Tensor], mask: torch.Tensor,
                            labels: torch.Tensor, settings: ConsistencySettings, kind: Divergence) -> float:
    if kind != 'prototype':
        return float(mask_consistency(moved['scores'], mask, settings, label=labels).loss)
    # prototypes are detached: only the moved point's own features change, the prototypes stay those of the old ones
    from sam2amml_core.losses import mask_consistency as module
    point = torch.nonzero(mask > 0).flatten()
    _, owner = torch.unique(mask[point], return_inverse=True)
    judged = module._judge(data['scores'][point].log_softmax(1), owner, torch.ones(len(point)), labels[point], settings)
    count = len(judged.size)
    old = torch.nn.functional.normalize(data['features'][point], dim=1)
    prototype = torch.nn.functional.normalize(module.segment_mean(old, judged.trust, owner, count), dim=1)
    said = judged.target.argmax(1)
    other = (said[:, None] != said[None, :]) | torch.eye(count, dtype=torch.bool)
    f = torch.nn.functional.normalize(moved['features'][point], dim=1)
    similarity = (f @ prototype.T / settings.temperature).masked_fill(~other[owner], -torch.inf)
    each = torch.nn.functional.cross_entropy(similarity, owner, reduction='none')
    per_mask = torch.stack([each[owner == m].mean() for m in range(count)])
    return float((judged.weight * per_mask).sum() / judged.weight.sum())


@pytest.mark.parametrize('kind', KINDS)
def test_order_of_points_and_values_of_ids_do_not_matter(kind: Divergence) -> None:
    data = batch(seed=3)
    order = torch.randperm(len(data['mask']), generator=torch.Generator().manual_seed(1))
    shuffled = {name: values[order] for name, values in data.items()}
    renamed = dict(data, mask=torch.tensor([0, 900, 3, 77, 12, 65000, 8])[data['mask']])
    expected = float(loss_of(data, kind))
    assert expected > 0
    assert float(loss_of(shuffled, kind)) == pytest.approx(expected, rel=1e-4)
    assert float(loss_of(renamed, kind)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('kind', ['kl', 'logit_variance', 'jensen_shannon'])
def test_masks_whose_points_agree_cost_nothing(kind: Divergence) -> None:
    rows = torch.tensor([[4.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
    mask = torch.tensor([1, 1, 1, 2, 2, 2, 2])
    assert float(mask_consistency(rows[mask - 1], mask, replace(LENIENT, divergence=kind)).loss) < 1e-6


def test_kl_repairs_points_that_are_surely_wrong_and_jensen_shannon_cannot() -> None:
    pull = {}
    kinds: tuple[Divergence, ...] = ('kl', 'jensen_shannon')
    for kind in kinds:
        scores = torch.tensor([[3.0, 0.0, 0.0]] * 17 + [[0.0, 12.0, 0.0]] * 3, requires_grad=True)
        mask_consistency(scores, torch.ones(20, dtype=torch.long), replace(LENIENT, divergence=kind)).loss.backward()
        assert scores.grad is not None
        pull[kind] = float(-scores.grad[18, 0]) * 20
    assert pull['kl'] > 0.5
    assert pull['jensen_shannon'] < 0.01


def test_impure_small_unsure_and_distrusted_masks_do_not_count() -> None:
    sure = torch.tensor([[5.0, 0.0]] * 8)
    split = torch.tensor([1, 1, 1, 1, 2, 2, 2, 2])
    mask = torch.ones(8, dtype=torch.long)
    settings = ConsistencySettings()
    assert mask_consistency(sure, mask, settings, label=split).active_masks == 0
    assert mask_consistency(sure, mask, settings, label=torch.zeros(8, dtype=torch.long)).active_masks == 1
    assert mask_consistency(sure[:2], mask[:2], settings).active_masks == 0
    assert mask_consistency(torch.zeros(8, 2), mask, settings).active_masks == 0
    assert mask_consistency(sure, mask, settings, trust=torch.full((8,), 0.1)).active_masks == 0


def test_distrusted_points_are_neither_pulled_nor_teach() -> None:
    scores = torch.tensor([[5.0, 0.0]] * 6 + [[0.0, 5.0]], requires_grad=True)
    trust = torch.tensor([1.0] * 6 + [0.0])
    found = mask_consistency(scores, torch.ones(7, dtype=torch.long), ConsistencySettings(), trust=trust)
    found.loss.backward()
    assert float(found.loss.detach()) < 1e-6
    assert scores.grad is not None
    assert float(scores.grad[6].abs().max()) == 0


@pytest.mark.parametrize('kind', KINDS)
def test_without_masks_the_loss_is_zero_and_has_a_gradient(kind: Divergence) -> None:
    scores = torch.randn(5, 3, requires_grad=True)
    found = mask_consistency(scores, torch.zeros(5, dtype=torch.long), ConsistencySettings(kind),
                             features=torch.randn(5, 4))
    found.loss.backward()
    assert float(found.loss) == 0
    assert scores.grad is not None


def test_large_and_surely_wrong_logits_stay_finite() -> None:
    for kind in KINDS:
        data = batch(seed=5)
        free = data['features'] if kind == 'prototype' else data['scores']
        free.mul_(1e3).requires_grad_()
        loss = loss_of(data, kind)
        loss.backward()
        assert bool(torch.isfinite(loss))
        assert free.grad is not None
        assert bool(torch.isfinite(free.grad).all())


def test_descending_the_loss_makes_masks_agree() -> None:
    data = batch(200, 4, 5, seed=9)
    scores = data['scores'].clone().requires_grad_()
    optimizer = torch.optim.SGD([scores], 50.0)
    for _ in range(100):
        optimizer.zero_grad()
        mask_consistency(scores, data['mask'], LENIENT).loss.backward()
        optimizer.step()
    for m in range(1, 6):
        assert len(scores[data['mask'] == m].argmax(1).unique()) == 1


def test_a_wrong_use_is_explained() -> None:
    with pytest.raises(InputError, match='divergence'):
        ConsistencySettings('cosine')  # type: ignore[arg-type]
    with pytest.raises(InputError, match='mask has 3 rows for 5 points'):
        mask_consistency(torch.zeros(5, 2), torch.zeros(3, dtype=torch.long), ConsistencySettings())
    with pytest.raises(InputError, match='one for each class'):
        mask_consistency(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long), ConsistencySettings(),
                         class_weight=torch.ones(3))
    with pytest.raises(InputError, match='needs features'):
        mask_consistency(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long), ConsistencySettings('prototype'))


def test_warm_up_starts_late_and_ends_at_one() -> None:
    assert [warm_up(at) for at in (0.0, 0.05, 0.1, 0.15, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert [warm_up(at, 0.3) for at in (0.3, 0.35, 1.0)] == pytest.approx([0, 0.5, 1])


def test_points_past_the_edge_of_an_object_are_not_trusted() -> None:
    car, wall = torch.linspace(10, 13, 18), torch.linspace(25, 25.5, 2)
    road = 1.73 / torch.tan(torch.arange(8) * 0.0074 + 0.03)  # rings on flat ground, up to 58 m
    half = torch.tensor([10.0, 10.1, 10.2, 30.0, 30.1, 30.2])
    distance = torch.cat((car, wall, road, half, torch.tensor([7.0])))
    mask = torch.tensor([1] * 20 + [2] * 8 + [3] * 6 + [0])
    order = torch.randperm(len(mask), generator=torch.Generator().manual_seed(0))
    trust = torch.empty(len(mask))
    trust[order] = depth_trust(distance[order], mask[order], beam_spacing_rad=0.0074)
    assert trust[:18].tolist() == pytest.approx([0.9] * 18)
    assert trust[18:20].tolist() == [0, 0]
    assert trust[20:28].tolist() == [1] * 8
    assert trust[28:34].tolist() == [0.5] * 6
    assert float(trust[34]) == 0
    assert len(depth_trust(distance, torch.zeros_like(mask), 0.0074)) == len(mask)


def test_vote_of_an_object_worked_out_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]])
    mask, label = torch.tensor([3, 3, 3, 5, 5]), torch.tensor([1, 1, 0, 2, 2])
    found = mask_consistency(p.log(), mask, LENIENT, label=label)
    a, b = 3 ** 0.5, 2 ** 0.5
    expected = (a * -math.log((0.9 + 0.6 + 0.3) / 3) + b * -math.log((0.8 + 0.5) / 2)) / (a + b)
    assert float(found.vote) == pytest.approx(expected, rel=1e-5)
    assert float(mask_consistency(p.log(), mask, LENIENT).vote) == 0  # nothing to vote on without labels


def test_vote_gradient_is_that_of_finite_differences() -> None:
    data = batch(12, 3, 2)
    label = data['label'] % 3 + 1
    scores = data['scores'].double().requires_grad_()
    # weights of masks follow from labels alone here, so the vote has no part whose gradient is stopped
    vote = mask_consistency(scores, data['mask'], LENIENT, label=label).vote
    (gradient,) = torch.autograd.grad(vote, scores)
    for i, j in ((0, 0), (3, 1), (7, 2), (11, 0)):
        values = []
        for sign in (1, -1):
            moved = data['scores'].clone()
            moved[i, j] += sign * 1e-2
            values.append(float(mask_consistency(moved, data['mask'], LENIENT, label=label).vote))
        assert float(gradient[i, j]) == pytest.approx((values[0] - values[1]) / 2e-2, abs=2e-3)


def test_teacher_says_what_points_should() -> None:
    wrong = torch.tensor([[0.0, 3.0]] * 4)
    right = torch.tensor([[3.0, 0.0]] * 4)
    mask = torch.ones(4, dtype=torch.int64)
    assert float(mask_consistency(wrong, mask, LENIENT).loss) == pytest.approx(0, abs=1e-6)
    assert float(mask_consistency(wrong, mask, LENIENT, teacher=right).loss) > 2
    with pytest.raises(InputError, match='takes no teacher'):
        mask_consistency(wrong, mask, replace(LENIENT, divergence='jensen_shannon'), teacher=right)
    with pytest.raises(InputError, match='give the same'):
        mask_consistency(wrong, mask, LENIENT, teacher=right[:, :1])
