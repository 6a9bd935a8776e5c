"""The experiment on SAM2-AMML: its cells differ in what they should only, and run from one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('lightning', reason='training needs lightning (extra [train])')

from world_data import Written

from sam2amml_core.errors import InputError
from sam2amml_core.masks.mask_set import Provenance, image_hash, make_mask_set
from sam2amml_core.masks.store import write_masks
from training.commands.amml import run
from training.datasets.open import open_split
from training.experiments.amml import BACKBONES, LABELS, MASKS, SEEDS, VARIANTS, Cell, Method, cells
from training.masks.precompute import mask_path
from training.recipe_files import find_recipe
from training.results import collect, rows_of


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in set(MASKS.values()):
        (tmp_path / name).mkdir()
    return tmp_path


def test_all_cells_are_different_runs_that_the_recipe_takes(folders: Path) -> None:
    all_cells = cells()
    assert len(all_cells) == len(BACKBONES) * len(LABELS) * len(VARIANTS) * len(SEEDS) == 90
    assert len({cell.name for cell in all_cells}) == 90
    recipes = [find_recipe('streetworld', cell.changes(folders, 100, Method())) for cell in all_cells]
    assert len({recipe.model_dump_json() for recipe in recipes}) == 90
    surround = cells('streetworld_surround', variants=['sam2'])[0]
    assert find_recipe(surround.recipe, surround.changes(folders, 100, Method())).name == 'amml_surround'
    with pytest.raises(InputError, match="does not know recipe 'nuscenes'"):
        cells('nuscenes')
    with pytest.raises(InputError, match="no variant 'sam3'; choose of baseline, sam2"):
        cells(variants=['sam3'])


def test_variants_differ_from_the_baseline_in_masks_and_their_losses_only(folders: Path) -> None:
    method = Method(vote=0.1, unlabelled=1)
    for labels in LABELS:
        some = (Cell('streetworld', 'minkunet18_small', labels, variant, 1) for variant in VARIANTS)
        baseline, *others = (find_recipe('streetworld', cell.changes(folders, 100, method)) for cell in some)
        for recipe in others:
            data = recipe.data.model_copy(update={'masks': None, 'masks_shuffled': False, 'unlabelled': 0})
            losses = recipe.losses.model_copy(update={'consistency': 0.0, 'mask_vote': 0.0, 'mask_class_power': 0.0})
            assert recipe.data.unlabelled == (1 if labels < 1 else 0) and recipe.losses.mask_vote == 0.1
            assert recipe.model_copy(update={'data': data, 'losses': losses, 'variant': 'baseline'}) == baseline
        sam2, shuffled = (next(r for r in others if r.variant == name) for name in ('sam2', 'shuffled'))
        assert sam2.data.model_copy(update={'masks_shuffled': True}) == shuffled.data


def test_missing_masks_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'superpixels' needs .* make them with: sam2amml masks .* --generator slic"):
        run(cells(seeds=[0], variants=['superpixels']), tmp_path, tmp_path / 'runs', 1, Method(), 1)


def test_cells_are_trained_scored_and_compared(kitti_data: Written, tmp_path: Path,
                                               capfd: pytest.CaptureFixture[str]) -> None:
    data, runs = tmp_path / 'data', tmp_path / 'runs'
    data.mkdir()
    (data / 'sequences').symlink_to(kitti_data[0] / 'dataset' / 'sequences')
    (data / 'splits.yaml').write_text("train: ['00']\nval: ['08']\ntest: ['08']\n")
    training = open_split(data, 'train')
    for number, scan in enumerate(training.scans):
        for view in training.views(number):
            ids = np.ones((view.camera.height, view.camera.width), np.uint16)
            ids[:, view.camera.width // 2:] = 2
            path = mask_path(data / 'true_masks', view.camera.name, scan.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_masks(path, make_mask_set(ids, Provenance('truth', image=image_hash(view.image))))
    wanted = cells('streetworld', BACKBONES[:1], [0.34], ['baseline', 'true-boundary'], [0])
    assert run(wanted, data, runs, 1, Method(), 1, listed=True) == 0
    assert capfd.readouterr().out.count('sam2amml train streetworld') == 2 and not runs.exists()
    method = Method(unlabelled=1)
    assert run(wanted, data, runs, 1, method, 1) == 2
    assert run(wanted, data, runs, 1, method, 1) == 0  # both are there
    baseline, masks = rows_of(collect(runs))
    assert (baseline['variant'], masks['variant']) == ('baseline', 'true-boundary')
    assert masks['versus_baseline']['miou']['pairs'] == 1 and baseline['label_fraction'] == 0.34
    recipe = json.loads((runs / 'amml' / wanted[1].name / 'run.json').read_text())['recipe']
    assert recipe['data']['unlabelled'] == 1 and recipe['losses']['consistency'] == Method().consistency
    (runs / 'amml' / wanted[0].name / 'scores_test.json').unlink()  # as if stopped in between
    run(wanted[:1], data, runs, 1, Method(), 1, listed=True)
    assert 'train streetworld' not in capfd.readouterr().out
    (runs / 'amml' / wanted[0].name / 'last.ckpt').write_bytes(b'')
    with pytest.raises(InputError, match='sam2amml evaluate ended with'):
        run(wanted[:1], data, runs, 1, Method(), 1)
