"""The house recipe's augmentation, for data that look like what the network will see: what published baselines use.

Rotation, flips, scale and jitter of the whole sweep; LaserMix (Kong et al., CVPR 2023) or PolarMix (Xiao et al.,
NeurIPS 2022) with a second sweep, half and half; single objects of rare classes pasted. Points keep their ``mask_id``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.augment_mix import mix_bands, mix_sector, paste_instances, paste_objects
from training.labelled_sweep import LabelledSweep


@dataclass(frozen=True)
class House:
    """How much is changed; probabilities 0..1.

    rotation_deg  turn about z, uniform within plus and minus this
    flip          probability to mirror x, and another to mirror y
    scale         factor on coordinates, uniform within
    jitter_m      standard deviation added to every coordinate, cut at four of it
    mixing        probability that a second sweep is mixed in, by LaserMix or PolarMix
    pasting       probability that objects of a second sweep are pasted
    pasted, ground  train ids of the classes pasted, and of those they are set upon
    objects       at most so many
    """

    rotation_deg: float = 180.0
    flip: float = 0.5
    scale: tuple[float, float] = (0.95, 1.05)
    jitter_m: float = 0.01
    mixing: float = 0.8
    pasting: float = 0.5
    pasted: tuple[int, ...] = ()
    ground: tuple[int, ...] = ()
    objects: int = 8


def augment_house(sweep: LabelledSweep, another: Callable[[], LabelledSweep], house: House,
                  rng: np.random.Generator) -> LabelledSweep:
    """One random variant: objects pasted from ``another`` sweep, one more mixed in, then all of it moved.

    ``another`` gives a random sweep; it is called only for those that are used.
    """
    if house.pasted and rng.random() < house.pasting:
        sweep = paste_instances(sweep, another(), np.array(house.pasted), np.array(house.ground),
                                int(rng.integers(1, house.objects + 1)), rng)
    if rng.random() < house.mixing:
        sweep = laser_or_polar_mix(sweep, another(), np.array(house.pasted, np.uint8), rng)
    return move(sweep, house, rng)


def laser_or_polar_mix(sweep: LabelledSweep, partner: LabelledSweep, pasted: np.ndarray,
                       rng: np.random.Generator) -> LabelledSweep:
    """LaserMix, or PolarMix: a sector swapped in half of the cases, and always turned copies of the ``pasted`` classes.
    """
    if rng.random() < 0.5:
        return mix_bands(sweep, partner, rng)
    if rng.random() < 0.5:
        sweep = mix_sector(sweep, partner, rng)
    return paste_objects(sweep, partner, pasted, 2, rng) if len(pasted) else sweep


def move(sweep: LabelledSweep, house: House, rng: np.random.Generator) -> LabelledSweep:
    """Turned about z, mirrored, scaled and jittered."""
    turn = np.deg2rad(rng.uniform(-house.rotation_deg, house.rotation_deg))
    c, s = np.cos(turn), np.sin(turn)
    signs = np.where(rng.random(2) < house.flip, -1.0, 1.0)
    scale = rng.uniform(*house.scale)
    matrix = scale * np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ np.diag([*signs, 1.0])
    xyz = sweep.xyz @ matrix.astype(np.float32)
    if house.jitter_m > 0:
        noise = rng.standard_normal(xyz.shape, dtype=np.float32)
        xyz += np.clip(noise, -4, 4) * np.float32(house.jitter_m)
    return sweep.with_xyz(xyz)
