"""What a street generator may vary, and the three ranges it is used with: train, validation and test worlds differ."""

from __future__ import annotations

from dataclasses import dataclass, field

Range = tuple[float, float]


@dataclass(frozen=True)
class StreetSettings:
    """Ranges and shares from which each street is drawn; lengths in metres, speeds in m/s."""

    themes: dict[str, float] = field(default_factory=lambda: {
        'residential': 0.43, 'terrace': 0.22, 'suburb': 0.13, 'rural': 0.08, 'commercial': 0.14,
    })
    road_half_width: Range = (2.4, 4.6)
    bend: Range = (0.0, 7.0)  # amplitude of the road's sideways swing
    grade: Range = (0.0, 0.03)  # steepest rise
    crossing_spacing: Range = (35.0, 120.0)
    kerb_height: Range = (0.04, 0.18)
    parked_share: Range = (0.15, 0.8)  # of kerb length taken by parked vehicles
    tree_spacing: Range = (7.0, 30.0)
    planting: Range = (0.5, 1.5)  # how much grows in front gardens
    walkers_per_100m: Range = (0.0, 5.0)
    oncoming_gap: Range = (18.0, 70.0)  # between moving vehicles of the other lane
    ego_speed: Range = (3.0, 12.0)
    rare: float = 1.8  # how often rare things stand about: trucks, buses, cycles, signs, barriers
    sensor_gain: Range = (0.8, 1.25)  # of the reported intensity
    range_noise: Range = (0.008, 0.022)  # standard deviation


TRAIN = StreetSettings()
VALIDATION = StreetSettings(
    themes={'residential': 0.5, 'terrace': 0.2, 'suburb': 0.1, 'rural': 0.1, 'commercial': 0.1},
    road_half_width=(2.8, 4.0), parked_share=(0.25, 0.6), tree_spacing=(9.0, 22.0), ego_speed=(5.0, 9.0),
)
TEST = StreetSettings(
    themes={'residential': 0.4, 'terrace': 0.1, 'suburb': 0.25, 'rural': 0.1, 'commercial': 0.15},
    road_half_width=(3.0, 4.8), bend=(2.0, 9.0), kerb_height=(0.06, 0.16), parked_share=(0.3, 0.7),
    tree_spacing=(8.0, 26.0), planting=(0.6, 1.3), walkers_per_100m=(1.0, 7.0), oncoming_gap=(20.0, 50.0),
    ego_speed=(6.0, 11.0), rare=2.0, sensor_gain=(0.85, 1.2), range_noise=(0.01, 0.025),
)
SPLITS = {'train': TRAIN, 'validation': VALIDATION, 'test': TEST}
