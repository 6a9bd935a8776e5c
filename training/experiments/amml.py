"""The experiment on SAM2-AMML's consistency loss: each cell is one run of a StreetWorld recipe.

Backbone x share of labels x variant x seed. All variants of a backbone, share and seed start from the same weights and
see the same labelled sweeps in the same order, changed alike, for as many steps; only what masks add differs. None of
it changes the network, so inference costs what it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sam2amml_core.errors import InputError

EXPERIMENTS = {'streetworld': 'amml', 'streetworld_surround': 'amml_surround'}
"""Recipe -> what its cells are called in the results: with a camera ahead, and with cameras all round."""

BACKBONES = ('frustum_range_net', 'minkunet18_small')
LABELS = (0.01, 0.1, 1.0)
SEEDS = (0, 1, 2)

MASKS = {'sam2': 'masks_sam2', 'superpixels': 'masks_slic', 'shuffled': 'masks_sam2', 'true-boundary': 'true_masks'}
"""Variant -> folder of its masks below the data. ``shuffled`` gives each sweep the SAM2 masks of another."""

VARIANTS = ('baseline', *MASKS)

HOW_TO_MAKE = {
    'masks_sam2': 'sam2amml masks {data} {folder} --split train',
    'masks_slic': 'sam2amml masks {data} {folder} --split train --generator slic',
    'true_masks': 'sam2amml streetworld {data} --true-masks (--layout nuscenes for cameras all round)',
}


@dataclass(frozen=True)
class Method:
    """What masks add to the recipe, for every variant that has masks; see ``training.recipe.LossSettings``.

    ``unlabelled`` sweeps per batch join where not all are labelled.
    """

    consistency: float = 0.5
    vote: float = 0.5
    teacher: str = 'itself'
    divergence: str = 'kl'
    unlabelled: int = 0
    start: float = 0.05
    agreement: float = 0.6
    class_power: float = 0.5

    def changes(self, labels: float) -> list[str]:
        """For ``sam2amml train --set``."""
        return [f'losses.consistency={self.consistency:g}', f'losses.mask_vote={self.vote:g}',
                f'losses.teacher={self.teacher}', f'losses.divergence={self.divergence}',
                f'losses.mask_start={self.start:g}', f'losses.min_agreement={self.agreement:g}',
                f'losses.mask_class_power={self.class_power:g}',
                *([f'data.unlabelled={self.unlabelled}'] if labels < 1 and self.unlabelled else [])]


@dataclass(frozen=True)
class Cell:
    """One run of ``recipe``. ``labels`` is the share of the training sweeps that are labelled."""

    recipe: str
    backbone: str
    labels: float
    variant: str
    seed: int

    @property
    def name(self) -> str:
        return f'{self.backbone}_{100 * self.labels:g}_{self.variant}_{self.seed}'

    def changes(self, data: Path, steps: int, method: Method) -> list[str]:
        """What distinguishes the run from the recipe, for ``sam2amml train --set``.

        Raises InputError when its masks are not there, with the command that makes them.
        """
        common = [f'name={EXPERIMENTS[self.recipe]}', f'backbone={self.backbone}', f'variant={self.variant}',
                  f'data.root={data}', f'data.fraction={self.labels:g}', 'data.validation_sweeps=12',
                  f'loop.seed={self.seed}', f'loop.steps={steps}', f'loop.validate_every={steps}']
        if self.variant == 'baseline':
            return common
        folder = data / MASKS[self.variant]
        if not folder.is_dir():
            command = HOW_TO_MAKE[folder.name].format(data=data, folder=folder)
            raise InputError(f'variant {self.variant!r} needs the masks in {folder}; make them with: {command}')
        return [*common, f'data.masks={folder}', *(['data.masks_shuffled=true'] if self.variant == 'shuffled' else []),
                *method.changes(self.labels)]


def cells(recipe: str = 'streetworld', backbones: Sequence[str] = BACKBONES, labels: Sequence[float] = LABELS,
          variants: Sequence[str] = VARIANTS, seeds: Sequence[int] = SEEDS) -> list[Cell]:
    """All combinations, seed by seed, so that a stopped series leaves whole comparisons. Raises InputError."""
    if recipe not in EXPERIMENTS:
        raise InputError(f'the experiment does not know recipe {recipe!r}; choose of {", ".join(EXPERIMENTS)}')
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise InputError(f'no variant {unknown[0]!r}; choose of {", ".join(VARIANTS)}')
    return [Cell(recipe, backbone, share, variant, seed)
            for seed, share, backbone, variant in product(seeds, labels, backbones, variants)]
