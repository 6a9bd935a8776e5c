"""What several test files share, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from world_data import Written

    from training.world.street import Street


@pytest.fixture(scope='session')
def street() -> Street:
    """A street of the synthetic world."""
    pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')
    from world_data import build

    return build()


@pytest.fixture(scope='session')
def kitti_data(tmp_path_factory: pytest.TempPathFactory, street: Street) -> Written:
    """SemanticKITTI's layout: root, sweeps written, rig."""
    from world_data import write_kitti

    return write_kitti(tmp_path_factory.mktemp('kitti'), street)


@pytest.fixture(scope='session')
def nuscenes_data(tmp_path_factory: pytest.TempPathFactory, street: Street) -> Written:
    """nuScenes' layout: root, sweeps written, rig."""
    from world_data import write_nuscenes

    return write_nuscenes(tmp_path_factory.mktemp('nuscenes'), street)
