"""The mask consistency loss: without a loop over masks against with one, and its share of a training step.

One sweep of 64 beams; every point in front of the sensor (a third) lies in one of the masks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from _timing import median_ms
from torch import Tensor

from sam2amml_core.bundle import load_bundle
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet, FrustumRangeNetConfig
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.lidar.range_view import make_range_view
from sam2amml_core.losses.mask_consistency import ConsistencySettings, mask_consistency
from sam2amml_core.losses.segmentation import cross_entropy, lovasz_softmax


def looped(scores: Tensor, mask: Tensor) -> Tensor:
    """The same loss, a mask at a time, as published implementations have it."""
    log_p = scores.log_softmax(1)
    losses, weights = [], []
    for m in mask.unique().tolist():
        if m == 0:
            continue
        own = log_p[mask == m]
        p = own.detach().exp()
        trust = p.max(1).values
        target = (trust[:, None] * p).sum(0) / trust.sum()
        purity = target.max()
        if len(own) < 3 or purity < 0.6:
            continue
        losses.append((target * (target.clamp(min=1e-12).log() - own)).sum(1).mean())
        weights.append(purity * len(own) ** 0.5)
    return (torch.stack(losses) * torch.stack(weights)).sum() / torch.stack(weights).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--masks', type=int, default=150)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    bundle = load_bundle('street64')
    view = make_range_view(flat_sweep(bundle.sensor), bundle.sensor, bundle.normalisation)
    features, pixel = torch.from_numpy(view.features), torch.from_numpy(view.pixel)
    points = len(pixel)
    mask = torch.where(torch.arange(points) % 3 == 0, torch.randint(1, options.masks + 1, (points,)), 0)
    label = torch.randint(1, 20, (points,))
    scores = (4 * torch.nn.functional.one_hot(mask % 19, 19) + torch.randn(points, 19)).requires_grad_()
    settings = ConsistencySettings()

    def backward(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(scores, mask).backward()

    def ours(scores: Tensor, mask: Tensor) -> Tensor:
        return mask_consistency(scores, mask, settings).loss

    torch.testing.assert_close(ours(scores, mask), looped(scores, mask))
    network = FrustumRangeNet(FrustumRangeNetConfig()).train()
    weight = torch.ones(19)

    def step() -> None:
        made = network(features, pixel)
        (cross_entropy(made, label, weight) + lovasz_softmax(made, label)).backward()

    mine = median_ms(lambda: backward(ours), options.repeats)
    peer = median_ms(lambda: backward(looped), options.repeats)
    whole = median_ms(step, options.repeats)
    print(f'{points} points, {int((mask > 0).sum())} of them in {options.masks} masks: ours {mine:.1f} ms, '
          f'a loop over masks {peer:.1f} ms; a training step without the loss {whole:.0f} ms, so it adds '
          f'{mine / whole:.1%}')
    print(json.dumps({'name': 'mask-consistency', 'ours': round(mine, 2), 'peer': round(peer, 2),
                      'ratio': round(peer / mine, 2), 'unit': 'ms', 'n': points, 'threads': options.threads,
                      'share_of_step': round(mine / whole, 4)}))


if __name__ == '__main__':
    main()
