"""The training loop: AdamW with one cycle of learning rate, an averaged copy of the weights, checkpoints, a log."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet
from sam2amml_core.losses.segmentation import cross_entropy, lovasz_softmax
from training.batches import Batch, TrainingBatches, stream
from training.recipe import Recipe

logger = logging.getLogger(__name__)

LOG_FIELDS = ('step', 'minutes', 'learning_rate', 'cross_entropy', 'lovasz', 'accuracy')


@dataclass(frozen=True)
class Schedule:
    """How long to train: until ``steps`` or ``minutes``, whichever comes first; the learning rate follows."""

    steps: int
    minutes: float = math.inf
    checkpoint_minutes: float = 5.0
    log_every: int = 20

    def progress(self, step: int, minutes: float) -> float:
        """0 at the start, 1 at the end."""
        return min(1.0, max(step / self.steps, minutes / self.minutes))


def one_cycle(progress: float, warm_up: float = 0.08, floor: float = 0.01) -> float:
    """Factor of the peak learning rate: linear rise from a tenth, then half a cosine down to ``floor``."""
    if progress < warm_up:
        return 0.1 + 0.9 * progress / warm_up
    fall = (progress - warm_up) / (1 - warm_up)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fall))


class Average:
    """Exponential moving average of a network's weights and buffers (Polyak averaging), warmed up."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)


class Trainer:
    """Trains one network; ``run`` may be stopped at any time and continued from ``folder/last.pt``."""

    def __init__(self, recipe: Recipe, batches: TrainingBatches, weights: Tensor, folder: Path, schedule: Schedule,
                 bfloat16: bool = True, command: str = '') -> None:
        torch.manual_seed(batches.seed)
        self.recipe = recipe
        self.batches = batches
        self.weights = weights
        self.folder = folder
        self.schedule = schedule
        self.bfloat16 = bfloat16
        self.command = command
        self.network = FrustumRangeNet(recipe.network)
        self.average = Average(self.network, recipe.ema_decay)
        self.optimizer = torch.optim.AdamW(_parameter_groups(self.network, recipe.weight_decay), recipe.learning_rate)
        self.step = 0
        self.minutes = 0.0

    def warm_start(self, state: dict[str, Tensor]) -> None:
        """Begin with the weights of another run."""
        self.network.load_state_dict(state)
        self.average = Average(self.network, self.recipe.ema_decay)

    def run(self, workers: int = 1, on_log: Callable[[dict[str, float]], None] | None = None) -> None:
        """Train to the end of the schedule, writing ``log.csv`` and ``last.pt`` in ``folder``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        before, start, saved = self.minutes, time.monotonic(), time.monotonic()
        for batch in stream(self.batches, self.step, workers):
            progress = self.schedule.progress(self.step, self.minutes)
            if progress >= 1:
                break
            losses = self._update(batch, progress)
            self.step += 1
            self.minutes = before + (time.monotonic() - start) / 60
            if self.step % self.schedule.log_every == 0:
                row = {'step': float(self.step), 'minutes': self.minutes, **losses}
                self._log(row)
                if on_log is not None:
                    on_log(row)
            if (time.monotonic() - saved) / 60 > self.schedule.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
        self.save()

    def _update(self, batch: Batch, progress: float) -> dict[str, float]:
        rate = self.recipe.learning_rate * one_cycle(progress)
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        self.network.train()
        with torch.autocast('cpu', torch.bfloat16, enabled=self.bfloat16):
            scores = self.network(batch.features, batch.pixel, batch.sweeps)
        generator = torch.Generator().manual_seed(self.step)
        chosen = torch.randint(len(batch.label), (self.recipe.loss_points,), generator=generator)
        scores, label = scores[chosen], batch.label[chosen]
        few = self.recipe.lovasz_points
        entropy = cross_entropy(scores, label, self.weights)
        lovasz = lovasz_softmax(scores[:few], label[:few])
        self.optimizer.zero_grad(set_to_none=True)
        (entropy + lovasz).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        self.average.update(self.network)
        known = label > 0
        accuracy = (scores.argmax(1) + 1 == label)[known].float().mean()
        return {'learning_rate': rate, 'cross_entropy': float(entropy.detach()), 'lovasz': float(lovasz.detach()),
                'accuracy': float(accuracy)}

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / 'log.csv'
        fresh = not path.exists()
        with path.open('a', newline='', encoding='utf-8') as stream_:
            writer = csv.DictWriter(stream_, LOG_FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow({k: f'{v:.6g}' for k, v in row.items()})

    def save(self) -> None:
        """Write ``last.pt``, atomically."""
        path = self.folder / 'last.pt'
        scratch = path.with_suffix('.tmp')
        torch.save({'recipe': self.recipe.name, 'command': self.command, 'seed': self.batches.seed,
                    'class_weights': self.weights,                     'step': self.step, 'minutes': self.minutes,
                    'network': self.network.state_dict(), 'average': self.average.network.state_dict(),
                    'updates': self.average.updates, 'optimizer': self.optimizer.state_dict()}, scratch)
        scratch.replace(path)

    def resume(self) -> bool:
        """Continue from ``last.pt`` if there is one."""
        path = self.folder / 'last.pt'
        if not path.exists():
            return False
        content = read_checkpoint(path)
        self.network.load_state_dict(content['network'])
        self.average.network.load_state_dict(content['average'])
        self.average.updates = content['updates']
        self.optimizer.load_state_dict(content['optimizer'])
        self.step, self.minutes = content['step'], content['minutes']
        logger.info('continuing %s at step %d', path, self.step)
        return True


def read_checkpoint(path: Path) -> dict:
    """Content of a checkpoint; raises ``InputError`` if it cannot be read."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds, from pickle errors to its own
        raise InputError(f'cannot read checkpoint {path}: {error}; give the last.pt of a training run') from error


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weights decay, biases and norms do not."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{'params': matrices, 'weight_decay': weight_decay}, {'params': others, 'weight_decay': 0.0}]
