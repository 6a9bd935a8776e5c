"""Your own data set: dataset.yaml, damage of files, and the command that finds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from world_data import SWEEPS, Written

from sam2amml_core.errors import InputError
from sam2amml_core.labels import SEMANTIC_KITTI
from training.datasets.check import check
from training.datasets.open import open_split, recognise
from training.datasets.own import read_dataset_file
from training.datasets.scans import MASKS_PER_SCAN, ScanSet, read_sweep, to_train
from training.datasets.sequences import SequenceFolders, semantic_kitti

OWN = {
    'name': 'yard', 'splits': {'train': ['drive_a'], 'val': ['drive_b']},
    'classes': [{'name': 'ground', 'color': [255, 0, 255], 'raw': {40: 'road', 60: 'lane-marking', 48: 'sidewalk',
                                                                   44: 'parking', 49: 'other', 72: 'terrain'}},
                {'name': 'thing', 'color': [0, 0, 255], 'raw': {
                    i: name for i, name in SEMANTIC_KITTI.raw_names.items() if i not in (0, 40, 44, 48, 49, 60, 72)}}],
}


@pytest.fixture
def own(tmp_path: Path, kitti_data: Written) -> Path:
    home = kitti_data[0] / 'dataset' / 'sequences'
    for name, source in (('drive_a', '00'), ('drive_b', '08')):
        shutil.copytree(home / source, tmp_path / name, ignore=shutil.ignore_patterns('image_*'))
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump(OWN))
    return tmp_path


def test_raw_ids_outside_the_map_are_named_and_train_ids_do_not_pass(tmp_path: Path, kitti_data: Written) -> None:
    with pytest.raises(InputError, match=r'sweep\.label.*raw ids 7, 300 .*train ids already'):
        to_train(SEMANTIC_KITTI, np.array([10, 7, 300, 7]), 'sweep.label')
    assert to_train(SEMANTIC_KITTI, np.array([252, 60, 99]), '').tolist() == [1, 9, 0]


def damaged(own: Path, change: Callable[[Path, Path], Any]) -> ScanSet:
    change(own / 'drive_a' / 'velodyne' / '000001.bin', own / 'drive_a' / 'labels' / '000001.label')
    return open_split(own, 'train')


@pytest.mark.parametrize(('change', 'words'), [
    (lambda cloud, label: cloud.write_bytes(cloud.read_bytes()[:-16]), r'000001\.label has .* labels for a cloud of'),
    (lambda cloud, label: cloud.write_bytes(cloud.read_bytes()[:-5]), r'000001\.bin has .*truncated'),
    (lambda cloud, label: label.write_bytes(label.read_bytes()[:-1]), r'000001\.label .*truncated'),
    (lambda cloud, label: label.write_bytes(b'\x07\0\0\0' * (cloud.stat().st_size // 16)), r'000001\.label.*raw ids 7'),
    (lambda cloud, label: cloud.write_bytes(b''), r'000001\.bin is empty'),
])
def test_damage_is_named_by_file_and_found_by_the_check(own: Path, change: Callable[[Path, Path], Any], words: str
                                                        ) -> None:
    data = damaged(own, change)
    read_sweep(data, 0)
    with pytest.raises(InputError, match=words):
        read_sweep(data, 1)
    *_, report = check(data, 'train')
    assert report.looked_at == SWEEPS and len(report.faults) == 1 and '000001' in report.faults[0]


def test_a_sequence_with_some_labels_only_is_refused(own: Path) -> None:
    (own / 'drive_a' / 'labels' / '000002.label').unlink()
    with pytest.raises(InputError, match=r'lacks 1 of 3 labels, such as 000002\.label'):
        open_split(own, 'train')


def test_your_own_data_set_has_your_classes(own: Path, kitti_data: Written) -> None:
    data = open_split(own, 'val')
    assert data.schema.names == ('unlabeled', 'ground', 'thing') and len(data) == SWEEPS
    sweep = read_sweep(data, 0)
    reference = read_sweep(semantic_kitti(kitti_data[0], '08'), 0)
    ground = np.isin(reference.label, [SEMANTIC_KITTI.names.index(n) for n in (
        'road', 'sidewalk', 'parking', 'other-ground', 'terrain')])
    np.testing.assert_array_equal(sweep.label == 1, ground)
    assert data.schema.train_to_raw.tolist()[:2] == [0, 40]
    assert recognise(own, 'val') == 'own' and len(open_split(own, 'all')) == 2 * SWEEPS
    *_, report = check(data, 'val')
    assert not report.faults and report.counts.sum() == report.points
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        open_split(own, 'test')


def edited(**changes: Any) -> dict[str, Any]:
    return {**OWN, **changes}


@pytest.mark.parametrize(('content', 'words'), [
    (edited(splits={'train': ['a'], 'val': ['a', 'b']}), r"sequences \['a'\] are in two splits"),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 0], 'raw': {1: 'x'}}, {'name': 'b', 'color': [0, 0, 0], 'raw': {
        1: 'x'}}]), r'raw ids \[1\] belong to two classes'),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 300], 'raw': {1: 'x'}}]), 'classes.0.*red, green, blue in 0..255'),
    (edited(classes=[{'name': 'a', 'color': [0, 0, 0], 'raw': {70000: 'x'}}]), 'do not fit 16 bits'),
    (edited(classes=[{'name': 'unlabeled', 'color': [0, 0, 0], 'raw': {1: 'x'}}]), 'given twice or reserved'),
    (edited(clouds='pcd'), "clouds: Input should be 'kitti' or 'nuscenes'"),
    (edited(splitz={}), 'splitz: Extra inputs are not permitted'),
    ('text', 'docs/your_own_dataset.md'),
    (edited(splits={'train': []}), 'name no sequence'),
])
def test_the_schema_check_explains_itself(tmp_path: Path, content: Any, words: str) -> None:
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=words):
        read_dataset_file(tmp_path)


def test_masks_of_two_scans_never_share_an_id_and_must_fit_the_cloud(own: Path) -> None:
    data = open_split(own, 'train')

    def masks(scans: ScanSet, index: int) -> np.ndarray:
        return (np.arange(scans.points(index)) % 3).astype(np.uint16)

    first, third = read_sweep(data, 0, masks), read_sweep(data, 2, masks)
    assert set(np.unique(first.mask_id)) == {0, 1, 2}
    assert set(np.unique(third.mask_id)) == {0, 2 * MASKS_PER_SCAN + 1, 2 * MASKS_PER_SCAN + 2}
    with pytest.raises(InputError, match='masks of scan drive_a/000001 are for 5 points'):
        read_sweep(data, 1, lambda *_: np.zeros(5, np.uint16))


def test_what_is_no_data_set_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='looked for dataset.yaml, sequences'):
        open_split(tmp_path, 'train')
    with pytest.raises(InputError, match='is not there'):
        open_split(tmp_path / 'none', 'train')
    with pytest.raises(InputError, match='holds no sweep'):
        SequenceFolders([tmp_path], SEMANTIC_KITTI)


def test_the_command_prints_shares_and_fails_on_faults(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training.commands.dataset import run

    train, val = run(own, ('train', 'val'), 'auto', None)
    text = capsys.readouterr().out
    assert 'ground' in text and '3 scans in 1 scenes' in text and train.points == val.points
    (own / 'drive_b' / 'velodyne' / '000000.bin').write_bytes(b'1234567')
    with pytest.raises(InputError, match='1 of 6 scans cannot be used'):
        run(own, ('train', 'val'), 'auto', None)
    with pytest.raises(InputError, match="no layout 'waymo'"):
        run(own, ('train',), 'waymo', None)
