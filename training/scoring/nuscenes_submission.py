"""nuScenes submissions: ``lidarseg/SPLIT/TOKEN_lidarseg.bin`` and ``SPLIT/submission.json`` (and its check)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from training.datasets.scans import ScanSet

META = ('use_camera', 'use_lidar', 'use_radar', 'use_map', 'use_external')
CLASSES = 16


def write_submission(folder: Path, split: str, predictions: Iterable[tuple[str, np.ndarray]],
                     uses: Sequence[str] = ('use_lidar',)) -> int:
    """Write the files for (LiDAR sample_data token, train ids [N] in 1..16) into ``folder``; returns their number.

    ``uses`` says which of ``META`` hold at test time. Raises InputError on an unknown one, or on ids outside 1..16.
    """
    unknown = sorted(set(uses) - set(META))
    if unknown:
        raise InputError(f'{unknown} is no entry of submission.json; choose of {", ".join(META)}')
    home = make_folder(folder / 'lidarseg' / split)
    count = 0
    for token, train in predictions:
        _check_ids(train, f'prediction of {token}')
        train.astype(np.uint8).tofile(home / f'{token}_lidarseg.bin')
        count += 1
    meta = {'meta': {name: name in uses for name in META}}
    (make_folder(folder / split) / 'submission.json').write_text(json.dumps(meta, indent=1), encoding='utf-8')
    return count


def check_submission(folder: Path, split: str, data: ScanSet) -> int:
    """Number of scans of a submission that the benchmark would take; ``data`` is the split it is for.

    Raises InputError naming the first fault: submission.json with other than five booleans, a file that is missing, of
    another number of points, or with a class outside 1..16.
    """
    path = folder / split / 'submission.json'
    try:
        meta = json.loads(path.read_text(encoding='utf-8'))['meta']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path} is missing or holds no "meta": {error}') from error
    if not isinstance(meta, dict) or set(meta) != set(META) or not all(isinstance(v, bool) for v in meta.values()):
        raise InputError(f'{path}: meta must hold exactly the booleans {", ".join(META)}')
    for index, scan in enumerate(data.scans):
        file = folder / 'lidarseg' / split / f'{scan.name}_lidarseg.bin'
        if not file.is_file():
            raise InputError(f'{folder} lacks lidarseg/{split}/{file.name}')
        train = np.fromfile(file, np.uint8)
        points = data.points(index)
        if len(train) != points:
            raise InputError(f'{file} has {len(train)} labels for {points} points')
        _check_ids(train, str(file))
    return len(data)


def _check_ids(train: np.ndarray, what: str) -> None:
    if len(train) and not ((train >= 1) & (train <= CLASSES)).all():
        raise InputError(f'{what} holds ids {train.min()}..{train.max()}; each point needs a class 1..{CLASSES}')
