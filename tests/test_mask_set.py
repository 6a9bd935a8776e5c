"""Mask sets and their files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set
from sam2amml_core.masks.store import holds, read_masks, write_masks

MADE = Provenance('test', 'abc', {'size': 3, 'names': ('a', 'b')}, 'image', 'inputs')


def random_labels(seed: int = 0, shape: tuple[int, int] = (37, 53)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.5, 0, rng.integers(0, 40, shape)) * 3


def test_ids_are_dense_and_tables_true() -> None:
    labels = random_labels()
    score = np.linspace(0, 1, 200)
    masks = make_mask_set(labels, MADE, score, smallest=20)
    kept = [k for k in np.unique(labels) if k and (labels == k).sum() >= 20]
    assert 0 < len(kept) < len(np.unique(labels)) - 1
    assert len(masks) == len(kept) and masks.id_map.dtype == np.uint16
    for row, label in enumerate(kept):
        where = labels == label
        assert np.array_equal(masks.id_map == row + 1, where)
        rows, columns = np.nonzero(where)
        assert masks.area[row] == where.sum()
        assert masks.box[row].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert masks.score[row] == pytest.approx(score[label])


def test_an_empty_map_has_no_masks() -> None:
    masks = make_mask_set(np.zeros((4, 6), np.int32), MADE)
    assert len(masks) == 0 and masks.box.shape == (0, 4) and masks.id_map.shape == (4, 6)


@pytest.mark.parametrize('labels', [np.full((2, 2), -1), np.zeros((2, 2), np.float32), np.zeros(4, int)])
def test_impossible_maps_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError):
        make_mask_set(labels, MADE)


def test_more_masks_than_ids_are_refused() -> None:
    with pytest.raises(InputError, match='65536'):
        make_mask_set(np.arange(1, 65537).reshape(256, 256), MADE)


def test_tables_of_other_lengths_are_refused() -> None:
    masks = make_mask_set(random_labels(), MADE)
    with pytest.raises(InputError, match='scores'):
        dataclasses.replace(masks, score=masks.score[:-1])


def test_files_keep_everything_and_have_equal_bytes(tmp_path: Path) -> None:
    masks = make_mask_set(random_labels(), MADE, np.random.default_rng(1).random(200))
    for name in ('a.masks', 'b.masks'):
        write_masks(tmp_path / name, masks)
    assert (tmp_path / 'a.masks').read_bytes() == (tmp_path / 'b.masks').read_bytes()
    back = read_masks(tmp_path / 'a.masks')
    assert np.array_equal(back.id_map, masks.id_map) and np.array_equal(back.box, masks.box)
    assert np.abs(back.score - masks.score).max() <= 5.1e-5
    assert back.provenance.checkpoint == 'abc' and back.provenance.settings['size'] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.masks', 'b.masks']


def test_files_know_their_provenance(tmp_path: Path) -> None:
    path = tmp_path / 'a.masks'
    assert not holds(path, MADE)
    write_masks(path, make_mask_set(random_labels(), MADE))
    assert holds(path, MADE)
    assert not holds(path, dataclasses.replace(MADE, settings={'size': 4, 'names': ('a', 'b')}))
    assert not holds(path, dataclasses.replace(MADE, image='other'))


@pytest.mark.parametrize('damage', ['cut', 'flip', 'header', 'empty'])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / 'a.masks'
    write_masks(path, make_mask_set(random_labels(), MADE))
    data = bytearray(path.read_bytes())
    if damage == 'flip':
        data[-7] ^= 4
    damaged = {'cut': data[:-9], 'flip': data, 'header': bytearray(b'x') + data, 'empty': bytearray()}
    path.write_bytes(damaged[damage])
    assert not holds(path, MADE)
    with pytest.raises(InputError, match='a.masks'):
        read_masks(path)


def test_a_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='cannot be read'):
        read_masks(tmp_path / 'none.masks')
    with pytest.raises(InputError, match='cannot write'):
        write_masks(tmp_path / 'no' / 'a.masks', make_mask_set(random_labels(), MADE))


def test_masks_of_another_image_are_refused(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (37, 53, 3)).astype(np.uint8)
    made = dataclasses.replace(MADE, image=image_hash(image))
    path = tmp_path / 'a.masks'
    write_masks(path, make_mask_set(random_labels(), made))
    assert isinstance(read_masks(path, image), MaskSet)
    other = image.copy()
    other[3, 4, 1] ^= 1
    with pytest.raises(InputError, match='another image'):
        read_masks(path, other)
    with pytest.raises(InputError, match='53 x 37'):
        read_masks(path, image[:-1])
