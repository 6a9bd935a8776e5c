"""A folder of ``.bin`` sweeps, or one such file: no images, labels beside the sweeps if there are any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Frame
from sam2amml_core.io.clouds import read_cloud
from sam2amml_core.io.labels import read_label

PERIOD_NS = 100_000_000
"""Time between sweeps whose recording gives none: 10 Hz."""


class BinFolder:
    """Sweeps ``*.bin`` (KITTI) or ``*.pcd.bin`` (nuScenes), in the order of their names."""

    def __init__(self, path: Path) -> None:
        path = Path(path)
        self.paths = [path] if path.is_file() else sorted(path.glob('*.bin'))
        if not self.paths:
            raise InputError(f'{path} holds no .bin file')
        nuscenes = self.paths[0].name.endswith('.pcd.bin')
        self.kind = 'nuScenes sweeps' if nuscenes else 'KITTI sweeps'
        self.model = 'street32' if nuscenes else 'street64'
        self.schema = 'nuscenes' if nuscenes else 'semantic_kitti'
        self._by_name = {cloud_name(path): path for path in self.paths}

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for number, (name, path) in enumerate(self._by_name.items()):
            yield name, Frame(read_cloud(path, number * PERIOD_NS))

    def truth(self, name: str) -> np.ndarray | None:
        label = self._by_name[name].with_name(name + '.label')
        return read_label(label) & 0xFFFF if label.is_file() else None


def cloud_name(path: Path) -> str:
    """File name without ``.pcd.bin`` or ``.bin``."""
    return path.name.removesuffix('.bin').removesuffix('.pcd')
