"""One training run from its recipe: data, network, loop, files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.catalogue import create
from sam2amml_core.losses.segmentation import class_weights
from training.batches import TrainingSamples, class_counts
from training.checkpoint import read_checkpoint
from training.datasets.open import open_split, rest_of, share_of
from training.datasets.scans import MaskIds, ScanSet
from training.datasets.stored_masks import StoredMasks
from training.loop import STATE, SegmentationTask, ValidationSamples
from training.loop_files import LAST, RunFiles
from training.recipe import Recipe
from training.recipe_files import recipe_yaml
from training.run_record import hardware, read_record, versions, write_record
from training.sync_norm import synchronise_norms


@dataclass(frozen=True)
class Machine:
    """What a run may use, as Lightning calls it; several nodes as torchrun starts them, or with its environment."""

    accelerator: str = 'auto'
    devices: str = '1'
    nodes: int = 1
    strategy: str = 'auto'
    progress: bool = True


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The labelled fraction of the training split, the rest of it if it is wanted, and the validation split."""

    labelled: ScanSet
    unlabelled: ScanSet | None
    validation: ScanSet | None


def open_training(recipe: Recipe) -> TrainingData:
    """The data of a recipe. Raises InputError when labels or splits are missing."""
    data, root = recipe.data, Path(recipe.data.root)
    whole = open_split(root, data.train, data.layout, data.schema_name)
    rest = rest_of(whole, data.fraction) if data.unlabelled else None
    validation = open_split(root, data.validation, data.layout, data.schema_name) if data.validation else None
    return TrainingData(share_of(whole, data.fraction), rest, validation)


def prepare_task(recipe: Recipe, folder: Path, command: str = '') -> SegmentationTask:
    """The module that Lightning trains, with its data; ``folder`` keeps the counts of classes."""
    opened = open_training(recipe)
    data, held_out = opened.labelled, opened.validation
    powers = recipe.losses.class_power, recipe.losses.mask_class_power
    counts = class_counts(data, folder / 'class_counts.npz') if recipe.data.draw == 'balanced' or any(powers) else None
    weight, mask_weight = (None if counts is None or not power else
                           torch.from_numpy(class_weights(counts.sum(axis=0)[1:], power)) for power in powers)
    torch.manual_seed(recipe.loop.seed)
    network = create(recipe.backbone, len(data.schema) - 1, recipe.sensor)
    samples = TrainingSamples(data, recipe, network.input_spec, counts if recipe.data.draw == 'balanced' else None,
                              mask_source(recipe), opened.unlabelled)
    validation = None
    if held_out is not None:
        if held_out.schema.names != data.schema.names:
            raise InputError('training and validation split have different classes')
        validation = ValidationSamples(TrainingSamples(held_out, recipe, network.input_spec),
                                       recipe.data.validation_sweeps)
    return SegmentationTask(recipe, network, data.schema, samples, validation, 1, weight, command, mask_weight)


def train(recipe: Recipe, folder: Path, machine: Machine | None = None, resume: bool = False, command: str = '',
          callbacks: tuple[Callback, ...] = ()) -> SegmentationTask:
    """Train in ``folder`` and return the finished module; with ``resume`` the run there goes on exactly as it was.

    Raises InputError when the folder holds a run already and ``resume`` is not asked for, or the reverse.
    """
    last = folder / LAST
    if last.exists() and not resume:
        raise InputError(f'{folder} holds a run already; add --resume to continue it, or choose another --folder')
    if resume and not last.exists():
        raise InputError(f'{folder} holds no {LAST} to resume from; train without --resume')
    if resume:
        _check_same_run(last, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    task = prepare_task(recipe, folder, command)
    trainer = _trainer(recipe, folder, machine or Machine(), callbacks)
    task.steps = steps_of(recipe, len(task.samples), trainer.world_size)
    trainer.fit_loop.epoch_loop.max_steps = task.steps
    if recipe.loop.sync_norms and trainer.world_size > 1:
        synchronise_norms(task.network)
    if trainer.is_global_zero:
        (folder / 'recipe.yaml').write_text(recipe_yaml(recipe), encoding='utf-8')
        (folder / 'scans.txt').write_text('\n'.join(scan.name for scan in task.samples.data.scans) + '\n',
                                          encoding='utf-8')
        start = _start(recipe, task, trainer, command)
        if resume:  # what the run began as stays, what it went on as is added
            before = read_record(folder)
            again = {key: start[key] for key in ('command', 'commit', 'started', 'hardware')}
            start = {'continued': [*before.get('continued', []), again], 'recipe': start['recipe']}
        write_record(folder, start)
    trainer.fit(task, ckpt_path=str(last) if resume else None, weights_only=True)
    return task


def steps_of(recipe: Recipe, scans: int, processes: int) -> int:
    """Length of a run in steps of the optimiser."""
    loop = recipe.loop
    if loop.steps is not None:
        return loop.steps
    return max(1, math.ceil((loop.epochs or 1) * scans / (loop.batch * loop.accumulate * processes)))


def mask_source(recipe: Recipe) -> MaskIds | None:
    """Where mask ids of scans come from. Raises InputError when the folder is not there."""
    if recipe.data.masks is None:
        return None
    return StoredMasks(Path(recipe.data.masks), recipe.data.masks_shuffled)


def _trainer(recipe: Recipe, folder: Path, machine: Machine, callbacks: tuple[Callback, ...]) -> Trainer:
    devices: Any = int(machine.devices) if machine.devices.lstrip('-').isdigit() else machine.devices
    logger = TensorBoardLogger(str(folder), name='', version='tensorboard')
    return Trainer(
        accelerator=machine.accelerator, devices=devices, num_nodes=machine.nodes, strategy=machine.strategy,
        precision=recipe.loop.precision, max_epochs=-1, max_steps=-1, logger=logger,
        accumulate_grad_batches=recipe.loop.accumulate, gradient_clip_val=recipe.optimiser.clip,
        reload_dataloaders_every_n_epochs=1, use_distributed_sampler=False, enable_checkpointing=False,
        num_sanity_val_steps=0, log_every_n_steps=recipe.loop.log_every, enable_progress_bar=machine.progress,
        enable_model_summary=False, callbacks=[RunFiles(folder), *callbacks])


def _start(recipe: Recipe, task: SegmentationTask, trainer: Trainer, command: str) -> dict[str, Any]:
    from training.commands.export import current_commit

    return {
        'name': recipe.name, 'variant': recipe.variant, 'backbone': recipe.backbone, 'seed': recipe.loop.seed,
        'fraction': recipe.data.fraction, 'commit': current_commit(), 'command': command, 'hardware': hardware(),
        'processes': trainer.world_size, 'threads': torch.get_num_threads(), 'versions': versions(),
        'started': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'scans': len(task.samples.data),
        'steps': task.steps, 'parameters': sum(p.numel() for p in task.network.parameters()),
        'schema': task.schema.name, 'recipe': recipe.model_dump(mode='json', by_alias=True)}


def _check_same_run(path: Path, recipe: Recipe) -> None:
    before = read_checkpoint(path)[STATE]['recipe']
    for key in ('backbone', 'sensor', 'normalisation'):
        if before[key] != recipe.model_dump(mode='json', by_alias=True)[key]:
            raise InputError(f'{path} was trained with another {key}; choose another --folder')
