"""Masks made by ``sam2amml masks``, lifted to the points of a data set's scans."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.masks.lift import point_mask_ids
from sam2amml_core.masks.store import SUFFIX, read_masks
from training.datasets.scans import ScanSet

CACHED_POINTS = 1 << 26
"""A quarter of a gigabyte of ids for each process that prepares samples."""


class StoredMasks:
    """Mask ids of scans from the folder that ``sam2amml masks`` wrote: one for each sequence, or one for all.

    Files are ``folder/SCENE/CAMERA/SWEEP.masks`` or ``folder/CAMERA/SWEEP.masks``. A camera of a sweep may lack its
    file where the recording lacks the image; a sweep without any is an error, for it would silently train without.
    With ``shuffled`` each sweep gets the masks of another one, half the data set away: as many and as large as real
    ones, but of things that are not there. What helps with these, too, is not the masks.

    Lifting masks takes longer than all else that is done to a sweep, so the latest ``CACHED_POINTS`` are kept.
    """

    def __init__(self, folder: Path, shuffled: bool = False) -> None:
        self.folder = folder
        self.shuffled = shuffled
        self._kept: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._points = 0
        if not folder.is_dir():
            raise InputError(f'folder of masks {folder} is not there; write it with sam2amml masks')

    def __call__(self, data: ScanSet, index: int) -> np.ndarray:
        """int32 [N], ids from 1 over all cameras, 0 = no mask. Raises InputError naming what is missing or damaged."""
        key = (data.scans[index].scene, data.scans[index].stem)
        ids = self._kept.pop(key, None)
        if ids is None:
            ids = self._lift(data, index)
            self._points += len(ids)
        self._kept[key] = ids  # the latest is last
        while self._points > CACHED_POINTS and len(self._kept) > 1:
            self._points -= len(self._kept.popitem(last=False)[1])
        return ids

    def _lift(self, data: ScanSet, index: int) -> np.ndarray:
        scan = data.scans[(index + max(1, len(data) // 2)) % len(data) if self.shuffled else index]
        cameras, masks = [], []
        for view in data.views(index, images=False):
            name = f'{view.camera.name}/{scan.stem}{SUFFIX}'
            path = next((p for p in (self.folder / scan.scene / name, self.folder / name) if p.is_file()), None)
            if path is not None:
                cameras.append(view.camera)
                masks.append(read_masks(path))
        if not cameras:
            raise InputError(f'{self.folder} holds no masks of scan {scan.name} (looked for '
                             f'{scan.scene}/CAMERA/{scan.stem}{SUFFIX} and CAMERA/{scan.stem}{SUFFIX}); '
                             'write them with sam2amml masks')
        ids = point_mask_ids(data.cloud(index).xyz, cameras, masks)
        ids.flags.writeable = False
        return ids
