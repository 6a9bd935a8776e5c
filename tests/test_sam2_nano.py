"""The shipped nano SAM2 means something: prompted by the LiDAR it finds objects of a street it never saw."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('sam2', reason='the extra [sam2] is not installed')
pytest.importorskip('embreex', reason='the extra [world] is not installed')

from sam2amml_core.bundle import MODELS_FOLDER
from sam2amml_core.errors import InputError
from sam2amml_core.masks import sam2_model
from sam2amml_core.masks.lidar_masks import LidarMasks, LidarMaskSettings
from training.masks.scenes import draw_scenes
from training.masks.scores import count

FOLDER = MODELS_FOLDER / 'sam2_nano'


def test_it_is_small_and_says_where_it_comes_from() -> None:
    about = yaml.safe_load((FOLDER / sam2_model.ABOUT_FILE).read_text())
    assert {'sha256', 'command', 'seed', 'steps', 'data', 'report'} <= about.keys()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 9e6


def test_it_finds_objects_where_the_lidar_points() -> None:
    """Without the outlines that stand in where it fails, so that all masks are its own."""
    sam = sam2_model.load()
    assert sam.image_size in (256, 512)
    settings = LidarMaskSettings(surface_cut=None)
    maker = LidarMasks(sam, replace(settings, fusion=replace(settings.fusion, outlines=False)))
    total = None
    for scene in draw_scenes('kitti', 2, split='validation', first=2):
        found = count(scene, maker.generate(scene.view, scene.cloud, scene.point_class))
        total = found if total is None else total + found
    assert total is not None and total.objects >= 4
    assert total.recall >= 0.5 and total.purity > 0.85 and total.coverage > 0.6


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FOLDER, tmp_path / 'sam2_nano')
    weights = tmp_path / 'sam2_nano' / sam2_model.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-4096])
    monkeypatch.setattr(sam2_model, 'MODELS_FOLDER', tmp_path)
    with pytest.raises(InputError, match='truncated'):
        sam2_model.load()
