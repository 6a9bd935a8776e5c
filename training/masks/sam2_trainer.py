"""Trains a nano SAM2 from nothing on synthetic pictures, for prompts by points, boxes and areas.

Beside the masks two small heads learn the class of every cell from the encoder's features; they are thrown away after
training. They give the encoder a signal in every cell from the first step, where masks alone need thousands of steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sam2amml_core.errors import InputError
from sam2amml_core.masks.sam2_model import build, normalise
from training.masks.mask_losses import prompt_loss
from training.masks.nano import WIDTH, nano_config
from training.masks.picture_batches import PictureBatch, draw_batch
from training.masks.pictures import Picture
from training.world.classes import WORLD_CLASSES

CHECKPOINT = 'last.pt'


@dataclass(frozen=True)
class Sam2Schedule:
    """size: image side in pixels; images, prompts: of a step, prompts for each image; steps and minutes: the limits,
    whichever comes first; rate: highest learning rate, falling to a fiftieth as a cosine over what is nearer its end.
    """

    size: int = 128
    images: int = 8
    prompts: int = 8
    steps: int = 6000
    minutes: float = 60.0
    rate: float = 1e-3
    seed: int = 0

    def check(self) -> None:
        """Raises InputError naming what cannot be."""
        if self.size < 64 or self.size % 32:
            raise InputError(f'image size {self.size} must be a multiple of 32, at least 64')
        if min(self.images, self.prompts, self.steps) < 1 or self.minutes <= 0 or self.rate <= 0:
            raise InputError(f'images, prompts, steps, minutes and rate must be positive: {self}')


class Trainee(nn.Module):
    """The network and the heads that are only trained with it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.sam = build(nano_config(size))
        kinds = len(WORLD_CLASSES)
        self.fine = nn.Conv2d(WIDTH // 8 + WIDTH // 4, kinds, 1)
        self.coarse = nn.Conv2d(WIDTH, kinds, 1)

    def forward(self, batch: PictureBatch) -> dict[str, torch.Tensor]:
        """``loss``, ``iou`` of the single masks (mean), ``accuracy`` of the class heads."""
        sam: Any = self.sam
        s0, s1, top = sam.forward_image(normalise(torch.from_numpy(batch.images)))['backbone_fpn']
        classes = torch.from_numpy(batch.classes)
        fine = self.fine(torch.cat((s0, F.interpolate(s1, scale_factor=2.0, mode='nearest')), dim=1))
        coarse = self.coarse(top)
        semantic = (F.cross_entropy(fine, classes, ignore_index=0)
                    + 0.5 * F.cross_entropy(coarse, classes[:, 2::4, 2::4], ignore_index=0))
        each = len(batch.points) // len(batch.images)
        prior, has_prior = torch.from_numpy(batch.prior), torch.from_numpy(batch.has_prior)
        points = (torch.from_numpy(batch.points), torch.from_numpy(batch.labels))
        sparse, dense = sam.sam_prompt_encoder(points, None, prior[:, None])
        none = sam.sam_prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        dense = torch.where(has_prior[:, None, None, None], dense, none)
        embedding = top + sam.no_mem_embed.reshape(1, -1, 1, 1)
        spread = [feature.repeat_interleave(each, 0) for feature in (s0, s1, embedding)]
        logits, predicted, _, _ = sam.sam_mask_decoder.predict_masks(
            spread[2], sam.sam_prompt_encoder.get_dense_pe(), sparse, dense, False, spread[:2])
        masks, iou = prompt_loss(logits, predicted, torch.from_numpy(batch.target))
        known = classes > 0
        accuracy = (fine.argmax(dim=1) == classes)[known].float().mean()
        return {'loss': masks + 0.5 * semantic, 'iou': iou, 'accuracy': accuracy}


class Sam2Trainer:
    """One run: ``folder/last.pt`` holds all that is needed to go on."""

    def __init__(self, pictures: Sequence[Picture], schedule: Sam2Schedule, folder: Path) -> None:
        schedule.check()
        if not len(pictures):
            raise InputError('no pictures to train on; run `sam2amml pictures` first')
        torch.manual_seed(schedule.seed)
        self.pictures, self.schedule, self.folder = pictures, schedule, folder
        self.trainee = Trainee(schedule.size)
        decayed = [p for p in self.trainee.parameters() if p.ndim > 1]
        rest = [p for p in self.trainee.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW([{'params': decayed, 'weight_decay': 0.02},
                                            {'params': rest, 'weight_decay': 0.0}], lr=schedule.rate, betas=(0.9, 0.98))
        self.average = {k: v.detach().clone() for k, v in self.trainee.state_dict().items()}
        self.step, self.minutes, self.before = 0, 0.0, 0

    def resume(self, path: Path, weights_only: bool = False) -> None:
        """Go on from a checkpoint; with ``weights_only`` begin a new schedule (perhaps of another size) with it."""
        state = read_checkpoint(path)
        self.trainee.load_state_dict(state['average'] if weights_only else state['weights'])
        self.average = {k: v.clone() for k, v in state['average'].items()}
        if weights_only:
            self.before = state['before'] + state['step']
        else:
            self.optimiser.load_state_dict(state['optimiser'])
            self.step, self.minutes, self.before = state['step'], state['minutes'], state['before']

    def run(self, on_log: Callable[[dict[str, float]], None], log_every: int = 50, save_every: int = 250) -> None:
        """Train until the schedule ends, saving now and then and at the end."""
        schedule = self.schedule
        sums: dict[str, float] = {}
        begun = perf_counter() - 60 * self.minutes
        self.trainee.train()
        while self.step < schedule.steps and self.minutes < schedule.minutes:
            rng = np.random.default_rng([schedule.seed, self.before, self.step])
            for group in self.optimiser.param_groups:
                group['lr'] = self._rate()
            out = self.trainee(draw_batch(rng, self.pictures, schedule.size, schedule.images, schedule.prompts))
            self.optimiser.zero_grad(set_to_none=True)
            out['loss'].backward()
            nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0)
            self.optimiser.step()
            self._average()
            self.step += 1
            self.minutes = (perf_counter() - begun) / 60
            for key, value in out.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach()) / log_every
            if self.step % log_every == 0:
                on_log({'step': self.step, 'minutes': self.minutes, **sums})
                sums = {}
            if self.step % save_every == 0:
                self.save()
        self.save()

    def _rate(self) -> float:
        done = max(self.step / self.schedule.steps, self.minutes / self.schedule.minutes)
        warm = min(1.0, (self.step + 1) / 200)
        return self.schedule.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def _average(self) -> None:
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.trainee.state_dict().items():
                if value.dtype.is_floating_point:
                    self.average[key].lerp_(value, 1 - keep)

    def save(self) -> None:
        """Write ``last.pt``, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f'.{CHECKPOINT}.{os.getpid()}'
        torch.save({'weights': self.trainee.state_dict(), 'average': self.average, 'step': self.step,
                    'optimiser': self.optimiser.state_dict(), 'minutes': self.minutes, 'before': self.before,
                    'size': self.schedule.size}, temporary)
        os.replace(temporary, self.folder / CHECKPOINT)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Raises InputError when it is missing or no checkpoint of this trainer."""
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise InputError(f'{path} cannot be read as a checkpoint ({error}); train again') from error
    if not isinstance(state, dict) or not {'weights', 'average', 'optimiser', 'step', 'before'} <= state.keys():
        raise InputError(f'{path} is no checkpoint of `sam2amml train-sam2`; train again')
    return state
