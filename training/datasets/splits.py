"""Splits that a data set names itself: ``splits.yaml`` in its root maps each to a list of sequences or scenes."""

from __future__ import annotations

from pathlib import Path

import yaml

from sam2amml_core.errors import InputError

SPLITS_FILE = 'splits.yaml'


def named_splits(root: Path) -> dict[str, list[str]]:
    """Splits of the data set at ``root``; none without the file. Raises InputError when it cannot be understood."""
    path = root / SPLITS_FILE
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f'{path} cannot be read: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise InputError(f'{path} must map each split to a list of sequences')
    return {str(split): [str(name) for name in names] for split, names in content.items()}
