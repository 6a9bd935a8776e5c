"""``sam2amml throughput``: how many sweeps a second the loader gives and training takes."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from training.batches import Batch, StepSampler, join
from training.loop import SegmentationTask, loader_settings
from training.recipe_files import find_recipe
from training.run import prepare_task


def run(recipe_name: str, changes: tuple[str, ...], seconds: float, threads: int, output: Path | None
        ) -> dict[str, Any]:
    """Measure, print, return and write ``{recipe, backbone, workers, threads, batch, loader_per_s, training_per_s,
    ratio}``; the loader runs alone first, then the step repeats on batches that are there already.

    ``loader_per_s`` is with ``loop.workers`` processes (0: in this one), and so does not share a core with the step.
    """
    recipe = find_recipe(recipe_name, changes)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        task = prepare_task(recipe, Path(scratch))
    loader, batches = _loader_rate(task, seconds)
    training = _step_rate(task, batches, seconds)
    result = {'recipe': recipe.name, 'backbone': recipe.backbone, 'workers': recipe.loop.workers, 'threads': threads,
              'batch': recipe.loop.batch, 'loader_per_s': round(loader, 2), 'training_per_s': round(training, 2),
              'ratio': round(loader / training, 2)}
    Console().print(f'{recipe.name}, {recipe.backbone}: loader alone {loader:.2f} sweeps/s with '
                    f'{recipe.loop.workers} worker(s), training step alone {training:.2f} sweeps/s with {threads} '
                    f'thread(s); the loader is {loader / training:.1f} times ahead', highlight=False)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1), encoding='utf-8')
    return result


def _loader_rate(task: SegmentationTask, seconds: float) -> tuple[float, list[Batch]]:
    loop = task.recipe.loop
    loader: DataLoader[Any] = DataLoader(task.samples, batch_sampler=StepSampler(
        loop.batch, 0, 1_000_000, unlabelled=task.recipe.data.unlabelled),
                                         collate_fn=join, **loader_settings(loop.workers))
    kept: list[Batch] = []
    count, stream = 0, iter(loader)
    for _ in range(4 * max(1, loop.workers) + 1):  # what was prefetched, and the start of the processes, do not count
        kept = [*kept[-2:], next(stream)]
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        kept = [*kept[-2:], next(stream)]
        count += len(kept[-1].names)
    return count / (time.perf_counter() - start), kept


def _step_rate(task: SegmentationTask, batches: list[Batch], seconds: float) -> float:
    """Forward, losses, backward and optimiser, in the recipe's precision on the CPU."""
    optimizer = task.configure_optimizers()
    half = task.recipe.loop.precision == 'bf16-mixed'

    def step(batch: Batch) -> None:
        with torch.autocast('cpu', torch.bfloat16, enabled=half):
            loss: Tensor = task.losses(batch)['loss']
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    task.network.train()
    step(batches[0])
    count, start = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - start < seconds:
        step(batches[count % len(batches)])
        count += 1
    return count * len(batches[0].names) / (time.perf_counter() - start)
