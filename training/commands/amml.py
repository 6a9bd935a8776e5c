"""``sam2amml amml``: cells of the experiment on SAM2-AMML, trained and scored one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sam2amml_core.errors import InputError
from training.experiments.amml import EXPERIMENTS, Cell, Method
from training.loop_files import LAST
from training.recipe_files import find_recipe
from training.run_record import RUN_FILE, read_record

SCORES = 'scores_test.json'


def run(cells: Sequence[Cell], data: Path | None, runs: Path, steps: int, method: Method, threads: int,
        listed: bool = False) -> int:
    """Train and score what is missing of ``cells`` in folders below ``runs``; return how many were.

    Without ``data`` on that of the recipe. A run that was stopped goes on. With ``listed`` only the commands are
    printed. Each run is a process of its own, of the commands that a person would type. Raises InputError when one
    fails.
    """
    console, done = Console(stderr=True), 0
    plans = [(cell, runs / EXPERIMENTS[cell.recipe] / cell.name, cell.changes(
        data or Path(find_recipe(cell.recipe).data.root), steps, method)) for cell in cells]
    for cell, folder, changes in plans:
        trained = (folder / RUN_FILE).is_file() and 'finished' in read_record(folder)
        if trained and (folder / SCORES).is_file():
            continue
        resume = ['--resume'] if (folder / LAST).is_file() else []
        settings = [part for change in changes for part in ('--set', change)]
        train = ['train', cell.recipe, *settings, '--folder', str(folder), '--threads', str(threads), *resume]
        evaluate = ['evaluate', str(folder), '--threads', str(threads)]
        commands = [evaluate] if trained else [train, evaluate]
        if listed:
            Console().print(' && '.join(f'sam2amml {" ".join(command)}' for command in commands), highlight=False,
                            soft_wrap=True, markup=False)
            continue
        console.print(f'{cell.name} ({done + 1})', highlight=False)
        for command in commands:
            ended = subprocess.run([sys.executable, '-m', 'training.cli', *command], check=False)
            if ended.returncode:
                raise InputError(f'{cell.name}: sam2amml {command[0]} ended with {ended.returncode}; its words are '
                                 'above')
        done += 1
    return done
