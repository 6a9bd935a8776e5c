"""Exchange of materials: the same shape may be something else in another street.

A panel behind the sidewalk may be a clipped hedge, a lawn before a house may be paved: shape and place leave it open,
and the synthetic world's own shares of them are arbitrary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sam2amml_core.labels import schema as find_schema
from training.augment_surface import smoothed_range
from training.labelled_sweep import LabelledSweep

SECTORS = 8


@dataclass(frozen=True)
class Exchange:
    """Points of class ``source`` become ``target`` in a ``share`` of all sectors.

    ``gain`` multiplies their intensity; their surface is smoothed along the beam, then roughened by up to
    ``roughness`` metres. With ``lift``, points below the sensor come nearer along their rays until they lie up to so
    many metres higher, as the top of a bed of plants.
    """

    source: str
    target: str
    share: float
    gain: float = 1.0
    roughness: float = 0.0
    lift: float = 0.0


STREET_EXCHANGES = (
    Exchange('fence', 'vegetation', 0.4, roughness=0.08),
    Exchange('terrain', 'sidewalk', 0.35, gain=0.75, roughness=0.01),
    Exchange('terrain', 'parking', 0.05, gain=0.6, roughness=0.01),
    Exchange('terrain', 'vegetation', 0.15, roughness=0.12, lift=0.7),
)
"""For SemanticKITTI's classes."""


def exchange_materials(sweep: LabelledSweep, exchanges: tuple[Exchange, ...], schema_name: str,
                       rng: np.random.Generator) -> LabelledSweep:
    """Apply each exchange in some sectors of azimuth; points in the sensor's order."""
    if not exchanges or rng.random() < 0.4:
        return sweep
    names = find_schema(schema_name).names
    turn = np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0]) / (2 * np.pi) + rng.random()
    sector = np.floor(turn % 1.0 * SECTORS).astype(np.int32) % SECTORS
    distance = np.linalg.norm(sweep.xyz, axis=1)
    by_beam = np.argsort(sweep.ring, kind='stable')
    smooth = np.empty(len(sweep))
    smooth[by_beam] = smoothed_range(distance[by_beam], sweep.ring[by_beam], sweep.label[by_beam])
    label, intensity, target = sweep.label.copy(), sweep.intensity.copy(), distance.astype(np.float64)
    for exchange in exchanges:
        chosen = (sweep.label == names.index(exchange.source)) & (rng.random(SECTORS) < exchange.share)[sector]
        label[chosen] = names.index(exchange.target)
        intensity[chosen] *= np.float32(exchange.gain)
        rough = rng.uniform(0.1, 1) * exchange.roughness
        lift = rng.uniform(0.2, 1) * exchange.lift
        below = np.maximum(-sweep.xyz[chosen, 2], lift + 0.3)
        target[chosen] = smooth[chosen] * (1 - lift / below) + rng.normal(0, rough, int(chosen.sum()))
    moved = sweep.with_xyz(sweep.xyz * (target / np.maximum(distance, 1e-3))[:, None])
    return replace(moved, label=label, intensity=intensity)
