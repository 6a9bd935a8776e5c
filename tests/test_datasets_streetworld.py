"""The synthetic benchmark: small, stopped, gone on with, read by the reader of SemanticKITTI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from sam2amml_core.errors import InputError
from sam2amml_core.masks.lift import point_mask_ids
from sam2amml_core.masks.makers import MakerSpec
from sam2amml_core.masks.store import read_masks
from training.commands.streetworld import StreetWorld, run
from training.datasets.open import open_split
from training.datasets.scans import ScanSet
from training.datasets.stored_masks import StoredMasks
from training.masks.precompute import MaskJob, work
from training.world.record import street_of
from training.world.sensors import kitti_rig, nuscenes_rig
from training.world.settings import SPLITS

SMALL = StreetWorld(1, 1, 1, 1, true_masks=True)


def test_streetworld_has_three_splits_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                   ) -> None:
    only = street_of(2_000_011, SPLITS['test'], kitti_rig(), 1)  # building streets takes longest, one will do
    monkeypatch.setattr('training.world.benchmark.street_of', lambda *_: only)
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
    with pytest.raises(InputError, match='3 cameras asked for; the rig of semantic_kitti has 2'):
        run(tmp_path, StreetWorld(cameras=3), processes=1)
    _check_true_masks(tmp_path, sets['train'])


def test_streetworld_in_nuscenes_layout_has_masks_of_exact_outlines_all_round(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = nuscenes_rig(3, (320, 180))
    only = street_of(2_000_011, SPLITS['test'], rig, 1)
    monkeypatch.setattr('training.world.benchmark.street_of', lambda *_: only)
    monkeypatch.setattr('training.world.benchmark.rig_of', lambda *_: rig)
    size = StreetWorld(1, 1, 1, 1, 3, true_masks=True, layout='nuscenes')
    run(tmp_path, size, processes=1)
    names = {split: {scan.scene for scan in open_split(tmp_path, split).scans} for split in ('train', 'val', 'test')}
    assert names == {'train': {'scene-0000'}, 'val': {'scene-3000'}, 'test': {'scene-6000'}}
    data = open_split(tmp_path, 'train')
    assert data.schema.name == 'nuscenes' and len(data.views(0)) == 3
    ids = StoredMasks(tmp_path / 'true_masks')(data, 0)
    _of_one_class(ids, data, masked=4_000, pure=0.9)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.bin')}
    run(tmp_path, size, processes=1)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.bin')} == stamps
    made, kept = work(MaskJob(str(tmp_path), str(tmp_path / 'slic'), MakerSpec('slic'), part='train'))
    assert (made, kept) == (3, 0)
    _of_one_class(StoredMasks(tmp_path / 'slic')(data, 0), data, masked=4_000, pure=0.6)


def _of_one_class(ids: np.ndarray, data: ScanSet, masked: int, pure: float) -> None:
    """At least so many points of the first scan lie in masks, and so large a share has the class of its mask."""
    truth = data.truth(0)
    assert truth is not None
    inside = (ids > 0) & (truth.label > 0)
    votes = np.bincount(ids[inside] * 20 + truth.label[inside], minlength=(int(ids.max()) + 1) * 20).reshape(-1, 20)
    assert inside.sum() > masked
    assert votes.max(axis=1).sum() / votes.sum() > pure


def _check_true_masks(root: Path, data: ScanSet) -> None:
    """They belong to the images that were written, and points that fall into one are of one class."""
    view = data.views(0)[0]
    masks = read_masks(root / 'true_masks' / 'train_000' / 'image_2' / '000000.masks', view.image)
    assert len(masks) > 10
    _of_one_class(point_mask_ids(data.cloud(0).xyz, [view.camera], [masks]), data, masked=5_000, pure=0.9)
