"""``sam2amml results``: the page of results from the folders of runs."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from sam2amml_core.errors import InputError
from training.results import Row, collect, model_row, pooled, rows_of, runs_in, together
from training.results_page import markdown


def run(runs: Path | None, models: list[Path], split: str, output: Path, note: Path | None = None,
        keep: bool = False) -> Path:
    """Write ``output`` (a .md) and the same as .json beside it; return ``output``.

    ``models`` are JSON files of ``sam2amml evaluate MODEL --output``, ``note`` a Markdown file for the top of the page.
    With ``keep``, what the .json holds stays, but for runs and models that are given anew. Raises InputError when there
    is nothing to write.
    """
    found, table = collect(runs, split) if runs is not None else [], output.with_suffix('.json')
    shipped = [model_row(path) for path in models]
    if keep:
        found = together(found, runs_in(table))
        renewed = {(row['experiment'], row['test_data']) for row in shipped}
        shipped += [row for row in _shipped_in(table) if (row['experiment'], row['test_data']) not in renewed]
    rows = [*shipped, *rows_of(found)]
    if not rows:
        raise InputError('neither runs nor models were given')
    output.parent.mkdir(parents=True, exist_ok=True)
    text = note.read_text(encoding='utf-8') if note is not None else ''
    output.write_text(markdown(rows, pooled(rows), text), encoding='utf-8')
    table.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')
    console = Console(stderr=True)
    for row in rows:
        spread = '' if row['miou_std'] is None else f' +- {row["miou_std"]:.2f}'
        console.print(f'{row["experiment"]}, {row["backbone"]}, {100 * row["label_fraction"]:g} % labels, '
                      f'{row["variant"]}: {row["miou_mean"]:.2f}{spread} % ({len(row["runs"])} runs)', highlight=False)
    console.print(f'written to {output} and {table.name}', highlight=False)
    return output


def _shipped_in(table: Path) -> list[Row]:
    return [row for row in json.loads(table.read_text(encoding='utf-8')) if not row['seeds']] if table.is_file() else []
