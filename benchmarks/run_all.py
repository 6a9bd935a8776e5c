"""Run every benchmark of this folder and collect the JSON line each prints last in ``out/bench.json``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
KEYS = {'name', 'ours', 'peer', 'ratio', 'unit', 'n', 'threads'}
LIMIT_S = 600


def run(script: Path) -> dict | str:
    """The result of one script, or what went wrong with it."""
    try:
        done = subprocess.run([sys.executable, str(script)], cwd=HERE.parent, capture_output=True, text=True,
                              check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f'took longer than {LIMIT_S} s'
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or ['no output'])[-1]
    try:
        result = json.loads(lines[-1])
    except ValueError:
        return f'its last line is no JSON: {lines[-1][:80]}'
    if isinstance(result, dict) and 'skipped' in result:
        return result
    missing = KEYS - set(result) if isinstance(result, dict) else KEYS
    return f'its JSON lacks {", ".join(sorted(missing))}' if missing else result


def main() -> None:
    console = Console()
    table = Table(title='benchmarks (ratio above 1: faster than the peer)')
    for column in ('name', 'ours', 'peer', 'unit', 'ratio', 'n', 'threads'):
        table.add_column(column, justify='left' if column in ('name', 'unit') else 'right')
    results, failures = [], []
    for script in sorted(HERE.glob('*.py')):
        if script.name == Path(__file__).name or script.name.startswith('_'):
            continue
        result = run(script)
        if isinstance(result, str):
            failures.append(f'{script.name}: {result}')
            continue
        if 'skipped' in result:
            console.print(f'{script.name} skipped: {result["skipped"]}', markup=False)
            continue
        results.append(result)
        table.add_row(*(str(result[key]) for key in ('name', 'ours', 'peer', 'unit', 'ratio', 'n', 'threads')))
    output = HERE.parent / 'out' / 'bench.json'
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + '\n')
    console.print(table)
    for failure in failures:
        console.print(f'failed: {failure}', style='red', markup=False)
    console.print(f'{len(results)} results in {output}')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
