"""``sam2amml results``: the page of results from the folders of runs."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from sam2amml_core.errors import InputError
from training.results import collect, markdown, model_row


def run(runs: Path | None, models: list[Path], split: str, output: Path, note: str = '') -> Path:
    """Write ``output`` (a .md) and the same as .json beside it; return ``output``.

    ``models`` are JSON files of ``sam2amml evaluate MODEL --output``. Raises InputError when there is nothing to write.
    """
    rows = [*([model_row(path) for path in models]), *(collect(runs, split) if runs is not None else [])]
    if not rows:
        raise InputError('neither runs nor models were given')
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(rows, note), encoding='utf-8')
    output.with_suffix('.json').write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')
    console = Console(stderr=True)
    for row in rows:
        spread = '' if row['miou_std'] is None else f' +- {row["miou_std"]:.2f}'
        console.print(f'{row["experiment"]}, {row["backbone"]}, {row["variant"]}: {row["miou_mean"]:.2f}{spread} % '
                      f'({len(row["runs"])} runs)', highlight=False)
    console.print(f'written to {output} and {output.with_suffix(".json").name}', highlight=False)
    return output
