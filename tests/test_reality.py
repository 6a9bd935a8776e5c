from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sam2amml_core.bundle import shipped_bundles
from sam2amml_core.errors import InputError
from sam2amml_core.labels import COARSE_NAMES, SEMANTIC_KITTI
from training.reality import KITTI_SWEEP, range_image_sweeps, scores, to_coarse

DATA = Path(__file__).parents[2] / 'shared' / 'data'


def test_only_measured_pixels_become_points_with_their_labels(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 8, 4), np.float32)
    labels = np.full((2, 4, 8), 9, np.uint8)
    images[0, 1, 2], labels[0, 1, 2] = (1, 2, 3, 51), 4
    images[1, 3, 7], labels[1, 3, 7] = (-1, 0, 0, 255), 5
    np.savez(tmp_path / 'images.npz', xyzi=images, label=labels)
    (first, first_label), (second, second_label) = range_image_sweeps(tmp_path / 'images.npz', 1 / 255)
    np.testing.assert_array_equal(first.xyz, [[1, 2, 3]])
    np.testing.assert_allclose(first.intensity, [0.2])
    assert first_label.tolist() == [4]
    np.testing.assert_allclose(second.intensity, [1.0])
    assert second_label.tolist() == [5]


def test_coarse_ids_leave_room_for_no_class() -> None:
    ids = np.array([SEMANTIC_KITTI.names.index('road'), SEMANTIC_KITTI.names.index('other-ground'), 255, 0], np.uint8)
    assert to_coarse(ids).tolist() == [1 + COARSE_NAMES.index('road'), 0, 0, 0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='nowhere'):
        list(scores(tmp_path / 'nowhere', None, None))


@pytest.mark.skipif(not (DATA / KITTI_SWEEP).is_dir(), reason='the real frames do not lie beside this checkout')
@pytest.mark.skipif('street64' not in shipped_bundles(), reason='no model is shipped')
def test_the_shipped_model_does_on_a_real_sweep_what_it_is_said_to(tmp_path: Path) -> None:
    from training.commands.reality import run

    folder = tmp_path / 'data'
    folder.mkdir()
    (folder / KITTI_SWEEP).symlink_to(DATA / KITTI_SWEEP)
    (score,) = run('street64', None, folder, 'cpu', 2, tmp_path / 'reality.json')
    assert score['value'] >= 35
    assert json.loads((tmp_path / 'reality.json').read_text())[0]['per_class']['road'] > 60
