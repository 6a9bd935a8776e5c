"""The synthetic benchmark: small, stopped, gone on with, read by the reader of SemanticKITTI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from sam2amml_core.errors import InputError
from sam2amml_core.masks.lift import point_mask_ids
from sam2amml_core.masks.store import read_masks
from training.commands.streetworld import StreetWorld, run
from training.datasets.open import open_split
from training.datasets.scans import ScanSet
from training.world.record import street_of
from training.world.sensors import kitti_rig
from training.world.settings import SPLITS

SMALL = StreetWorld(1, 1, 1, 1, 1, true_masks=True)


def test_streetworld_has_three_splits_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                   ) -> None:
    only = street_of(2_000_011, SPLITS['test'], kitti_rig(), 1)  # building streets takes longest, one will do
    monkeypatch.setattr('training.commands.streetworld.street_of', lambda *_: only)
    run(tmp_path, SMALL, processes=1)
    sets = {split: open_split(tmp_path, split) for split in ('train', 'val', 'test')}
    clouds = []
    for split, data in sets.items():
        truth = data.truth(0)
        assert [scan.name for scan in data.scans] == [f'{split}_000/000000'] and truth is not None
        assert len(np.unique(truth.label)) >= 6 and truth.instance.any()
        clouds.append(len(data.cloud(0)))
    assert len(set(clouds)) == 3 and min(clouds) > 50_000
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.bin')}
    (tmp_path / 'sequences' / 'val_000' / 'world.json').unlink()  # as if it had been interrupted
    run(tmp_path, SMALL, processes=1)
    changed = [p for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp]
    assert [p.parts[-3] for p in changed] == ['val_000']
    with pytest.raises(InputError, match='holds a street of another size'):
        run(tmp_path, StreetWorld(1, 1, 1, 2, 0), processes=1)
    with pytest.raises(InputError, match='0, 1 or 2 cameras'):
        run(tmp_path, StreetWorld(cameras=3), processes=1)
    _check_true_masks(tmp_path, sets['train'])


def _check_true_masks(root: Path, data: ScanSet) -> None:
    """They belong to the images that were written, and points that fall into one are of one class."""
    view = data.views(0)[0]
    masks = read_masks(root / 'true_masks' / 'train_000' / 'image_2' / '000000.masks', view.image)
    ids = point_mask_ids(data.cloud(0).xyz, [view.camera], [masks])
    truth = data.truth(0)
    assert truth is not None
    inside = (ids > 0) & (truth.label > 0)
    votes = np.bincount(ids[inside] * 20 + truth.label[inside], minlength=(int(ids.max()) + 1) * 20).reshape(-1, 20)
    assert len(masks) > 10 and inside.sum() > 5_000
    assert votes.max(axis=1).sum() / votes.sum() > 0.9
