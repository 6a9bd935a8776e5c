"""The training loop as a Lightning module: losses, learning rate, averaged weights, validation, what a resume needs."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sam2amml_core.errors import InputError
from sam2amml_core.labels import ClassSchema
from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch, Prediction
from sam2amml_core.losses.mask_consistency import Consistency, ConsistencySettings, mask_consistency, warm_up
from sam2amml_core.losses.mask_trust import depth_trust
from sam2amml_core.losses.segmentation_mean import mean_cross_entropy, mean_lovasz_softmax
from sam2amml_core.metrics import ConfusionMatrix
from training.averaging import Average
from training.batches import Batch, Sample, StepSampler, TrainingSamples, join, prepare_sweep
from training.recipe import OptimiserSettings, Recipe
from training.scoring.official import score
from training.scoring.scoreboard import fill_unknown, percent

STATE = 'sam2amml'
"""Key of our own entries in a checkpoint."""


def one_cycle(progress: float, settings: OptimiserSettings) -> float:
    """Factor of the peak learning rate: linear rise from a tenth, then half a cosine down to ``floor``."""
    if progress < settings.warm_up:
        return 0.1 + 0.9 * progress / settings.warm_up
    fall = (progress - settings.warm_up) / (1 - settings.warm_up)
    return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * min(fall, 1.0)))


class SegmentationTask(LightningModule):
    """Trains ``network``; ``steps`` is the length of the run in steps of the optimiser.

    Everything random follows from the seed and the number of the step, so a run that was stopped goes on exactly as if
    it had not been. ``history`` holds a row for each logged step since this process began.
    """

    def __init__(self, recipe: Recipe, network: Backbone, schema: ClassSchema, samples: TrainingSamples,
                 validation: ValidationSamples | None, steps: int, class_weight: Tensor | None = None,
                 command: str = '', mask_class_weight: Tensor | None = None) -> None:
        super().__init__()
        self.recipe, self.network, self.schema, self.samples = recipe, network, schema, samples
        self.validation, self.steps, self.command = validation, steps, command
        self.class_weight: Tensor | None
        self.register_buffer('class_weight', class_weight, persistent=False)
        self.mask_class_weight: Tensor | None
        self.register_buffer('mask_class_weight', mask_class_weight, persistent=False)
        self._average = [Average(network, recipe.loop.ema)] if recipe.loop.ema else []  # in a list: no submodule
        self.minutes, self.batches_done, self.best, self.since_best = 0.0, 0, -1.0, 0
        self.skipped: dict[str, int] = {}
        self.history: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []
        self._recent: list[dict[str, float]] = []
        self._started = time.monotonic()

    @property
    def final_network(self) -> Backbone:
        """The averaged network, if there is one."""
        return self._average[0].network if self._average else self.network  # type: ignore[return-value]

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end, by steps or by minutes, whichever is further."""
        minutes = self.recipe.loop.minutes
        return min(1.0, max(self.global_step / self.steps, self.minutes / minutes if minutes else 0.0))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self.recipe.optimiser
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        return torch.optim.AdamW([{'params': matrices, 'weight_decay': settings.weight_decay},
                                  {'params': others, 'weight_decay': 0.0}], settings.learning_rate)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches up to the next validation."""
        loop = self.recipe.loop
        end = min(self.batches_done + loop.validate_every * loop.accumulate, self.steps * loop.accumulate)
        sampler = StepSampler(loop.batch, self.batches_done, end, self.global_rank, self.trainer.world_size,
                              self.recipe.data.unlabelled)
        return DataLoader(self.samples, batch_sampler=sampler, collate_fn=join, **loader_settings(loop.workers))

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if self.validation is None:
            return []
        mine = range(self.global_rank, len(self.validation), self.trainer.world_size)
        return DataLoader(self.validation, batch_size=None, sampler=mine, collate_fn=_as_it_is,
                          **loader_settings(min(1, self.recipe.loop.workers)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device) if isinstance(batch, Batch) else batch

    def on_train_start(self) -> None:
        self._started = time.monotonic() - 60 * self.minutes
        if self._average:
            self._average[0].network.to(self.device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed((self.recipe.loop.seed * 1_000_003 + self.batches_done) % 2**63)
        optimizer = self.optimizers()
        for group in optimizer.param_groups:  # type: ignore[union-attr]
            group['lr'] = self.recipe.optimiser.learning_rate * one_cycle(self.progress, self.recipe.optimiser)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        values = self.losses(batch)
        row = dict(zip(values, torch.stack([v.detach().float() for v in values.values()]).tolist(), strict=True))
        if not math.isfinite(row['loss']):
            raise InputError(f'the loss is {row["loss"]} at step {self.global_step} on '
                             f'{", ".join(batch.names)}; look at these sweeps (sam2amml dataset), or lower '
                             'optimiser.learning_rate or use loop.precision=32-true')
        self._recent.append(row)
        return values['loss']

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The ``loss`` that is trained on, its parts, and the share of chosen points that are right."""
        settings = self.recipe.losses
        prediction = self.network(batch.points)
        logits = prediction.logits
        entropy = mean_cross_entropy(logits, batch.label, batch.chosen, self.class_weight, settings.label_smoothing)
        lovasz = mean_lovasz_softmax(logits, batch.label, batch.chosen, settings.lovasz_points)
        loss = settings.cross_entropy * entropy + settings.lovasz * lovasz
        values = {'cross_entropy': entropy, 'lovasz': lovasz}
        if settings.consistency > 0 or settings.mask_vote > 0:
            found = self._consistency(prediction, batch)
            # without a trainer: as at the end of a run
            share = warm_up(self.progress, settings.mask_start) if self._trainer else 1.0
            loss = loss + share * (settings.consistency * found.loss + settings.mask_vote * found.vote)
            values |= {'consistency': found.loss, 'mask_vote': found.vote}
        rows = torch.cat(batch.chosen)
        right = (logits[rows].argmax(1) + 1 == batch.label[rows]).float().mean() if len(rows) else loss.detach() * 0
        return {'loss': loss, 'accuracy': right, **values}

    def _consistency(self, prediction: Prediction, batch: Batch) -> Consistency:
        """Mean over the masks of the whole batch."""
        sensor = self.recipe.sensor
        distance = batch.points.points[:, :3].norm(dim=1)
        trust = depth_trust(distance, batch.mask_id, sensor.beam_spacing_rad, sensor.sensor_height_m)
        losses = self.recipe.losses
        settings = ConsistencySettings(losses.divergence, min_agreement=losses.min_agreement)
        teacher = None
        if losses.teacher == 'average':
            with torch.no_grad():
                teacher = self.final_network(batch.points).logits
        return mask_consistency(prediction.logits, batch.mask_id, settings, trust=trust, label=batch.label,
                                features=prediction.features, teacher=teacher, class_weight=self.mask_class_weight)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.batches_done += 1
        self.minutes = (time.monotonic() - self._started) / 60
        for fault in batch.skipped:
            self.skipped[fault] = self.skipped.get(fault, 0) + 1
        if self.batches_done % self.recipe.loop.accumulate:
            return
        if self._average:
            self._average[0].update(self.network)
        if self.global_step % self.recipe.loop.log_every == 0 or self.global_step == self.steps:
            self._log_row()
        self._recent.clear()
        if self.progress >= 1:
            self.trainer.should_stop = True

    def _log_row(self) -> None:
        names = tuple(self._recent[0])
        values = torch.tensor([np.mean([row[name] for row in self._recent]) for name in names], dtype=torch.float64)
        if self.trainer.world_size > 1:
            values = self.trainer.strategy.reduce(values.float().to(self.device), reduce_op='mean').double().cpu()
        row = dict(zip(names, values.tolist(), strict=True))
        rate = float(self.optimizers().param_groups[0]['lr'])  # type: ignore[union-attr]
        self.history.append({'step': self.global_step, 'minutes': self.minutes, 'learning_rate': rate, **row})
        self.log_dict({f'train/{name}': value for name, value in row.items()}, rank_zero_only=True)
        self.log('loss', row['loss'], prog_bar=True, logger=False, rank_zero_only=True)

    def on_validation_epoch_start(self) -> None:
        self._matrix = ConfusionMatrix(len(self.schema) - 1)

    def validation_step(self, sample: tuple[Sample, np.ndarray], batch_idx: int) -> None:
        prepared, truth = sample
        said = predict(self.final_network, prepared, len(self.schema) - 1, self.device)
        self._matrix.add(said, truth)

    def on_validation_epoch_end(self) -> None:
        counts = torch.from_numpy(self._matrix.counts).to(self.device)
        if self.trainer.world_size > 1:
            counts = self.trainer.strategy.reduce(counts, reduce_op='sum')
        if self.trainer.sanity_checking:
            return
        self._matrix.counts = counts.cpu().numpy()
        miou = percent(score(self._matrix, self.schema).miou) or 0.0
        self.log('validation/miou', miou, prog_bar=True, rank_zero_only=True)
        self.validations.append({'step': self.global_step, 'minutes': round(self.minutes, 3), 'miou': miou})
        self.since_best = 0 if miou > self.best else self.since_best + 1
        self.best = max(self.best, miou)
        patience = self.recipe.loop.early_stop
        if patience is not None and self.since_best >= patience:
            self.trainer.should_stop = True

    def gather_skipped(self) -> None:
        """At the end: count what any process skipped."""
        if self.trainer.world_size == 1:
            return
        parts: list[dict[str, int]] = [{} for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(parts, self.skipped)
        self.skipped = {fault: sum(part.get(fault, 0) for part in parts) for part in parts for fault in part}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[STATE] = {
            'recipe': self.recipe.model_dump(mode='json', by_alias=True), 'command': self.command, 'steps': self.steps,
            'step': self.global_step, 'minutes': self.minutes, 'batches_done': self.batches_done, 'best': self.best,
            'since_best': self.since_best, 'skipped': dict(self.skipped), 'validations': list(self.validations),
            'class_weight': self.class_weight, 'schema': self.schema.name,
            'classes': [[name, [int(c) for c in color], int(raw)] for name, color, raw in zip(
                self.schema.names, self.schema.colors, self.schema.train_to_raw, strict=True)],
            'average': self._average[0].network.state_dict() if self._average else None,
            'updates': self._average[0].updates if self._average else 0}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        mine = checkpoint[STATE]
        self.command = f'{mine["command"]}; resumed: {self.command}'
        self.minutes, self.batches_done = float(mine['minutes']), int(mine['batches_done'])
        self.best, self.since_best = float(mine['best']), int(mine['since_best'])
        self.skipped, self.validations = dict(mine['skipped']), list(mine['validations'])
        if self._average and mine['average'] is not None:
            self._average[0].network.load_state_dict(mine['average'])
            self._average[0].updates = int(mine['updates'])


class ValidationSamples(Dataset[tuple[Sample, np.ndarray]]):
    """Sweeps as they are: (sample, truth uint8 [N]) by position."""

    def __init__(self, samples: TrainingSamples, limit: int | None) -> None:
        self._samples = samples
        total = len(samples.data)
        self._index = np.unique(np.linspace(0, total - 1, min(limit or total, total)).round().astype(int))

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, position: int) -> tuple[Sample, np.ndarray]:
        sweep, name = self._samples.read(int(self._index[position]))
        return prepare_sweep(sweep, self._samples.recipe, self._samples.spec, name), sweep.label


def predict(network: nn.Module, sample: Sample, classes: int, device: torch.device | str = 'cpu') -> np.ndarray:
    """Train ids uint8 [N] for every point of a prepared sweep, out of reach those of the nearest neighbour."""
    said = np.zeros(len(sample.cloud), np.uint8)
    if sample.prepared.valid.any():
        training = network.training
        network.eval()
        with torch.no_grad():
            batch = PointBatch.join([sample.prepared], [sample.cloud]).to(device)
            said[sample.prepared.valid] = (network(batch).logits.argmax(1) + 1).to(torch.uint8).cpu().numpy()
        network.train(training)
    return fill_unknown(sample.cloud.xyz, said, classes)


def loader_settings(workers: int) -> dict[str, Any]:
    """Arguments of a DataLoader for so many worker processes, each of one thread."""
    return {'num_workers': workers, 'prefetch_factor': 4 if workers else None, 'worker_init_fn': _one_thread}


def _as_it_is(sample: Any) -> Any:
    return sample


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
