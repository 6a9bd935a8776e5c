"""What a run writes: ``log.csv``, ``last.ckpt``, ``best.ckpt``, the end of ``run.json``; each whole or not at all."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from training.loop import SegmentationTask
from training.run_record import write_record

LOG_FIELDS = ('step', 'minutes', 'learning_rate', 'loss', 'cross_entropy', 'lovasz', 'consistency', 'accuracy')
LOG, LAST, BEST = 'log.csv', 'last.ckpt', 'best.ckpt'


class RunFiles(Callback):
    """Writes the files at every validation and at the end; a resumed run cuts the log where its checkpoint was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._best = -1.0
        self._rows: list[dict[str, str]] = []
        self._taken = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = _task(pl_module)
        self._best = task.best
        path = self.folder / LOG
        if trainer.is_global_zero and path.is_file():
            with path.open(newline='', encoding='utf-8') as stream:
                self._rows = [row for row in csv.DictReader(stream) if int(float(row['step'])) <= trainer.global_step]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = _task(pl_module)
        scratch = self.folder / f'.{LAST}.part'
        trainer.save_checkpoint(scratch)
        if trainer.is_global_zero:
            os.replace(scratch, self.folder / LAST)
            if task.best > self._best:
                shutil.copyfile(self.folder / LAST, self.folder / f'.{BEST}.part')
                os.replace(self.folder / f'.{BEST}.part', self.folder / BEST)
            self._write_log(task)
        self._best = task.best

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = _task(pl_module)
        task.gather_skipped()
        if trainer.is_global_zero:  # here and not after fit: processes that were forked end with it
            write_record(self.folder, {
                'finished': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'steps_done': task.global_step,
                'minutes': round(task.minutes, 3), 'validations': task.validations,
                'best_validation_miou': task.best if task.best >= 0 else None, 'skipped': task.skipped})

    def _write_log(self, task: SegmentationTask) -> None:
        fresh, self._taken = task.history[self._taken:], len(task.history)
        self._rows += [{name: f'{row[name]:.9g}' if name in row else '' for name in LOG_FIELDS} for row in fresh]
        scratch = self.folder / f'.{LOG}.part'
        with scratch.open('w', newline='', encoding='utf-8') as stream:
            writer = csv.DictWriter(stream, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(self._rows)
        os.replace(scratch, self.folder / LOG)


def _task(module: LightningModule) -> SegmentationTask:
    if not isinstance(module, SegmentationTask):
        raise TypeError(f'{type(module).__name__} is no SegmentationTask')
    return module
