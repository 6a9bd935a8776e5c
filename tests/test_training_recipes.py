"""Recipes: YAML over typed defaults, changed from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('lightning', reason='recipes serve the training loop (extra [train])')

from sam2amml_core.errors import InputError
from training.loop import one_cycle
from training.recipe import HouseSettings, OptimiserSettings
from training.recipe_files import find_recipe, recipe_yaml, shipped_recipes
from training.run import steps_of


def test_epochs_become_steps() -> None:
    recipe = find_recipe('semantic_kitti')
    assert steps_of(recipe, 19130, 1) == 36 * 19130 // 4 and steps_of(recipe, 19130, 8) == -(-36 * 19130 // 32)
    assert steps_of(find_recipe('street64'), 5, 2) == 10_000


@pytest.mark.parametrize('name', shipped_recipes())
def test_shipped_recipes_are_sound_and_survive_writing(name: str, tmp_path: Path) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    (tmp_path / 'copy.yaml').write_text(recipe_yaml(recipe))
    assert find_recipe(tmp_path / 'copy.yaml') == recipe


@pytest.mark.parametrize(('changes', 'words'), [
    (('loop.stpes=3',), 'loop.stpes: Extra inputs'), (('loop.seed',), 'not of the form key=value'),
    (('data.fraction=2',), 'data.fraction.*less than or equal to 1'), (('loop.batch.size=1',), 'batch has no entries'),
    (('loop.steps=null',), 'either epochs or steps'), (('augmentation.kind=cutmix',), "augmentation.*'house'"),
])
def test_wrong_settings_are_named(changes: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_recipe('street64', changes)


def test_settings_change_a_recipe() -> None:
    recipe = find_recipe('street64', ('optimiser.learning_rate=1e-3', 'loop.epochs=2', 'data.masks=null'))
    assert find_recipe('semantic_kitti', ('augmentation.mixing=0.5',)).augmentation == HouseSettings(mixing=0.5)
    assert recipe.optimiser.learning_rate == 1e-3 and recipe.loop.epochs == 2 and recipe.loop.steps is None
    with pytest.raises(InputError, match='neither a YAML file nor one of .*street64'):
        find_recipe('street128')


def test_the_learning_rate_makes_one_cycle() -> None:
    values = [one_cycle(p, OptimiserSettings()) for p in np.linspace(0, 1, 101)]
    peak = int(np.argmax(values))
    assert values[0] == pytest.approx(0.1) and max(values) == pytest.approx(1, abs=0.01)
    assert values[-1] == pytest.approx(0.01)
    assert (np.diff(values[:peak + 1]) > 0).all() and (np.diff(values[peak:]) < 0).all()
