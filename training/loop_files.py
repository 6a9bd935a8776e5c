"""What a run writes: ``log.csv``, ``last.ckpt``, ``best.ckpt``, the end of ``run.json``; each whole or not at all."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from training.loop import SegmentationTask
from training.run_record import write_record

LOG_FIELDS = ('step', 'minutes', 'learning_rate', 'loss', 'cross_entropy', 'lovasz', 'consistency', 'mask_vote',
              'accuracy')
LOG, LAST, BEST = 'log.csv', 'last.ckpt', 'best.ckpt'


class RunFiles(Callback):
    """Adds to the log as steps go by, writes checkpoints at every validation and at the end.

    A resumed run first cuts the log where its checkpoint was made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._best = -1.0
        self._written = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._best = _task(pl_module).best
        if not trainer.is_global_zero:
            return
        path, rows = self.folder / LOG, []
        if trainer.global_step and path.is_file():
            with path.open(newline='', encoding='utf-8') as stream:
                rows = [row for row in csv.DictReader(stream) if int(float(row['step'])) <= trainer.global_step]
        scratch = self.folder / f'.{LOG}.part'
        with scratch.open('w', newline='', encoding='utf-8') as stream:
            writer = csv.DictWriter(stream, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(scratch, path)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        self._append(trainer, _task(pl_module))  # rows up to the step before: this hook comes before the module's own

    def _append(self, trainer: Trainer, task: SegmentationTask) -> None:
        history = task.history
        if len(history) == self._written or not trainer.is_global_zero:
            return
        with (self.folder / LOG).open('a', newline='', encoding='utf-8') as stream:
            writer = csv.DictWriter(stream, LOG_FIELDS)
            for row in history[self._written:]:
                writer.writerow({name: f'{row[name]:.9g}' if name in row else '' for name in LOG_FIELDS})
        self._written = len(history)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = _task(pl_module)
        self._append(trainer, task)
        scratch = self.folder / f'.{LAST}.part'
        trainer.save_checkpoint(scratch)
        if trainer.is_global_zero:
            os.replace(scratch, self.folder / LAST)
            if task.best > self._best:
                shutil.copyfile(self.folder / LAST, self.folder / f'.{BEST}.part')
                os.replace(self.folder / f'.{BEST}.part', self.folder / BEST)
        self._best = task.best

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = _task(pl_module)
        task.gather_skipped()
        if trainer.is_global_zero:  # here and not after fit: processes that were forked end with it
            write_record(self.folder, {
                'finished': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'steps_done': task.global_step,
                'minutes': round(task.minutes, 3), 'validations': task.validations,
                'best_validation_miou': task.best if task.best >= 0 else None, 'skipped': task.skipped})


def _task(module: LightningModule) -> SegmentationTask:
    if not isinstance(module, SegmentationTask):
        raise TypeError(f'{type(module).__name__} is no SegmentationTask')
    return module
