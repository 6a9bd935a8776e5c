"""``sam2amml pictures``: pictures of synthetic streets with exact masks."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from training.masks.pictures import write_pictures


def run(split: str, streets: int, per_street: int, first: int, folder: Path | None) -> Path:
    """Write them and return the folder; what is there already is kept."""
    target = folder or Path('out/pictures') / split
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        task = progress.add_task(f'pictures of {split} streets', total=streets * per_street)
        for _ in write_pictures(target, split, streets, per_street, first):
            progress.advance(task)
        progress.update(task, completed=streets * per_street)
    console.print(f'{len(list(target.glob("street_*.npz")))} pictures in {target}')
    return target
