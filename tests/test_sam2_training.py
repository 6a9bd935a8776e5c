"""Pictures of the synthetic world, prompts drawn from them, and the training of the nano SAM2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the extra [world] is not installed')
pytest.importorskip('sam2', reason='the extra [sam2] is not installed')

import torch

from sam2amml_core.errors import InputError
from sam2amml_core.masks.sam2_model import load
from training.commands.export_sam2 import run as export
from training.masks.mask_losses import mask_losses, prompt_loss
from training.masks.nano import nano_config
from training.masks.picture_batches import draw_batch
from training.masks.pictures import Picture, read_picture, save_picture, write_pictures
from training.masks.prompt_samples import POINTS, sample_prompt
from training.masks.sam2_trainer import CHECKPOINT, Sam2Schedule, Sam2Trainer
from training.masks.segments import exclusive_segments
from training.world.classes import WORLD_ID
from training.world.sweep import PixelTruth


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of one street."""
    path = tmp_path_factory.mktemp('pictures')
    assert len(list(write_pictures(path, 'train', 1, per_street=3))) == 3
    return path


@pytest.fixture(scope='module')
def pictures(folder: Path) -> list[Picture]:
    return [read_picture(path) for path in sorted(folder.glob('*.npz'))]


def test_segments_are_instances_and_pieces_of_surfaces() -> None:
    classes = np.full((20, 40), WORLD_ID['road'], np.uint8)
    classes[:8] = 0
    classes[:, 20] = WORLD_ID['fence']
    classes[12, :10] = WORLD_ID['lane-marking']
    instance = np.zeros((20, 40), np.uint16)
    instance[10:14, 16:24], classes[10:14, 16:24] = 7, WORLD_ID['car']
    ids, kinds = exclusive_segments(PixelTruth(classes, instance, np.ones((20, 40), np.float32)), smallest=5)
    assert sorted(kinds[1:]) == sorted([WORLD_ID['car'], WORLD_ID['road'], WORLD_ID['road'], WORLD_ID['fence'],
                                    WORLD_ID['fence']])
    assert (ids == 1).sum() == 32 and kinds[1] == WORLD_ID['car']
    assert (ids[:8, :20] == 0).all() and ids[15, 3] != ids[15, 30] and ids[12, 3] == ids[15, 3]


def test_pictures_show_streets_and_go_on_where_they_stopped(folder: Path, pictures: list[Picture], tmp_path: Path
                                                            ) -> None:
    for picture in pictures:
        assert picture.image.shape == (256, 848, 3) and picture.image.std() > 20
        assert len(picture.classes) == picture.ids.max() + 1 > 10
    assert not list(write_pictures(folder, 'train', 1, per_street=3))
    name = sorted(folder.glob('*.npz'))[1].name
    (tmp_path / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(InputError, match='delete it'):
        read_picture(tmp_path / name)
    save_picture(tmp_path / name, pictures[1])
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    with pytest.raises(InputError, match='no split'):
        list(write_pictures(tmp_path, 'dev', 1))


@pytest.mark.parametrize('seed', range(4))
def test_prompts_tell_the_truth(pictures: list[Picture], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = pictures[0].ids[:128, 300:428]
    kinds = np.unique(ids[ids > 0])
    seen = set()
    for _ in range(200):
        target = int(rng.choice(kinds))
        prompt = sample_prompt(rng, ids, target)
        assert prompt.points.shape == (POINTS, 2) and (prompt.labels >= 0).any()
        column, row = np.clip(np.rint(prompt.points).astype(int), 0, 127).T
        inside = ids[row, column] == target
        assert inside[prompt.labels == 1].all() and not inside[prompt.labels == 0].any()
        seen |= set(prompt.labels.tolist())
        if prompt.prior is not None:
            cover = (ids == target).reshape(32, 4, 32, 4).mean(axis=(1, 3))
            if (cover > 0.5).sum() > 20:
                assert ((prompt.prior > 0) & (cover > 0)).sum() > 0
    assert seen == {-1, 0, 1, 2, 3}


def test_batches_are_repeatable_and_hold_what_was_asked(pictures: list[Picture]) -> None:
    one, two = (draw_batch(np.random.default_rng(3), pictures, 64, 2, 5) for _ in range(2))
    assert np.array_equal(one.images, two.images) and np.array_equal(one.target, two.target)
    assert one.images.shape == (2, 64, 64, 3) and one.target.shape == (10, 16, 16)
    assert (one.target.max(axis=(1, 2)) > 0).all() and one.target.max() <= 1
    assert one.classes.max() > 0 and one.has_prior.any()


def test_losses_fall_towards_the_truth() -> None:
    target = torch.zeros(2, 8, 8)
    target[0, :4], target[1, 2:5, 2:5] = 1, 1
    right = torch.where(target > 0, 8.0, -8.0)[:, None]
    wrong = -right
    loss, iou = mask_losses(torch.cat((right, torch.zeros_like(right), wrong), dim=1), target)
    assert (loss[:, 0] < loss[:, 1]).all() and (loss[:, 1] < loss[:, 2]).all()
    assert iou[:, 0].tolist() == [1, 1] and iou[:, 2].max() < 0.01
    masks = torch.cat((right, wrong, right, wrong), dim=1)
    sure, _ = prompt_loss(masks, torch.tensor([[1.0, 0, 1, 0]] * 2), target)
    unsure, single = prompt_loss(masks, torch.tensor([[0.0, 1, 0, 1]] * 2), target)
    assert unsure > sure + 0.5 and single == 1


def test_training_learns_goes_on_and_can_be_shipped(pictures: list[Picture], tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    schedule = Sam2Schedule(size=64, images=2, prompts=4, steps=20, rate=1e-3)
    whole = Sam2Trainer(pictures, schedule, tmp_path / 'whole')
    whole.run(rows.append, log_every=5)
    assert [row['step'] for row in rows] == [5, 10, 15, 20]
    assert rows[-1]['loss'] < 0.8 * rows[0]['loss']
    next_part = Sam2Trainer(pictures, schedule, tmp_path / 'whole')
    next_part.resume(tmp_path / 'whole' / CHECKPOINT)
    assert next_part.step == 20
    for key, value in whole.trainee.state_dict().items():
        assert torch.equal(value, next_part.trainee.state_dict()[key]), key
    larger = Sam2Trainer(pictures, Sam2Schedule(size=96, images=1, prompts=2, steps=1), tmp_path / 'larger')
    larger.resume(tmp_path / 'whole' / CHECKPOINT, weights_only=True)
    larger.run(lambda row: None)
    export(tmp_path / 'bundle', tmp_path / 'larger' / CHECKPOINT, 'a test', 0, None)
    shipped = load(str(tmp_path / 'bundle' / 'config.yaml'), tmp_path / 'bundle' / 'model.pt')
    assert shipped.image_size == 96 and 'steps: 21' in (tmp_path / 'bundle' / 'about.yaml').read_text()
    assert (tmp_path / 'bundle' / 'model.pt').stat().st_size < 9e6


def test_what_cannot_be_trained_is_named(pictures: list[Picture], tmp_path: Path) -> None:
    with pytest.raises(InputError, match='multiple of 32'):
        Sam2Trainer(pictures, Sam2Schedule(size=100), tmp_path)
    with pytest.raises(InputError, match='sam2amml pictures'):
        Sam2Trainer([], Sam2Schedule(), tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b'nothing')
    with pytest.raises(InputError, match='cannot be read'):
        export(tmp_path / 'bundle', tmp_path / CHECKPOINT, '', 0, None)
    assert nano_config(128)['model']['image_size'] == 128
