"""How many points and voxels an engine is built for: smallest, typical and largest number of each kind of row."""

from __future__ import annotations

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.errors import BundleError
from sam2amml_core.lidar.preparation import dimensions

LARGEST = 200_000
"""Points that an engine takes if the bundle names no profile."""

POINTS_PER_BEAM = 2000
"""Of a turn of a typical LiDAR at 10 Hz."""

Range = tuple[int, int, int]


def profile_of(bundle: ModelBundle) -> dict[str, Range]:
    """(smallest, typical, largest) for ``points`` and each ``voxels_L`` of the bundle's inputs.

    What the bundle's ``profile`` does not name is derived from the LiDAR: there are at most as many voxels as points,
    typically half as many, and half as many again on each coarser level.
    """
    points = max(1, min(LARGEST, POINTS_PER_BEAM * bundle.sensor.beams))
    found: dict[str, Range] = {}
    for name in sorted(set(dimensions(bundle.input).values())):
        level = int(name.rpartition('_')[2]) if name != 'points' else -1
        found[name] = (1, max(1, points >> (level + 1)), LARGEST)
    for name, span in bundle.spec.profile.items():
        if name not in found:
            raise BundleError(f'bundle {bundle.name}: profile names {name!r}, its inputs have {", ".join(found)}; '
                              'correct bundle.yaml')
        found[name] = span
    return found
