"""How masks are judged: truth scores full marks, damage costs what it should; the comparison runs on a real scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the extra [world] is not installed')
pytest.importorskip('skimage', reason='the extra [masks] is not installed')

from mask_scene import TRAIN_ID, make_scene, pixel_truth

from sam2amml_core.frame import Camera, CameraView, PointCloud, PointLabels
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.masks.lidar_masks import LidarMasks
from sam2amml_core.masks.mask_set import MaskSet, Provenance, make_mask_set
from training.commands.masks_report import markdown
from training.masks.comparison import Contender, compare, contenders
from training.masks.real_frames import RealView, count_boxes, draw, real_views
from training.masks.scenes import Scene, draw_scenes
from training.masks.scores import MaskCounts, count
from training.world.sweep import PixelTruth

MADE = Provenance('test')
DATA = Path(__file__).parents[2] / 'shared' / 'data'


def small_scene() -> Scene:
    """The small scene with its two boxes as instances 2 and 3."""
    view, cloud, part = make_scene()
    truth = pixel_truth()
    objects = np.where((truth == 2) | (truth == 3), truth, 0).astype(np.uint16)
    points = project(cloud.xyz, [view.camera])[0]
    return Scene(view, cloud, PixelTruth(truth, objects, np.ones(truth.shape, np.float32)), TRAIN_ID[part],
                 np.where((part == 2) | (part == 3), part, 0).astype(np.uint16), points,
                 visible_points(points, view.camera))


def of(labels: np.ndarray) -> MaskSet:
    return make_mask_set(labels, MADE)


def test_truth_gets_full_marks_and_damage_costs() -> None:
    scene = small_scene()
    truth = pixel_truth().astype(int)
    full = count(scene, of(truth))
    assert full.objects == 2 and full.recall == 1 and full.purity > 0.98 and full.coverage > 0.98
    nothing = count(scene, of(np.zeros_like(truth)))
    assert (nothing.recall, nothing.purity, nothing.coverage) == (0, 0, 0) and nothing.points == full.points
    one = count(scene, of(np.ones_like(truth)))
    classes = scene.point_class[scene.points.index[scene.seen]]
    assert one.found == 0 and one.purity == pytest.approx(np.bincount(classes).max() / len(classes))
    half = truth.copy()
    rows = np.flatnonzero((truth == 2).any(axis=1))
    half[rows[len(rows) // 2] - 3:][truth[rows[len(rows) // 2] - 3:] == 2] = 9
    assert count(scene, of(half)).found == 2
    without = truth.copy()
    without[truth == 3] = 1
    assert count(scene, of(without)).found == 1
    total = full + nothing
    assert total.objects == 4 and total.recall == 0.5


def test_the_comparison_tells_makers_apart() -> None:
    scenes = [small_scene()]
    told: list[int] = []

    def predict(scene: Scene) -> PointLabels:
        told.append(1)
        wrong = scene.point_class.copy()
        wrong[::20] = 1
        sure = np.where(wrong == scene.point_class, 0.9, 0.3).astype(np.float32)
        return PointLabels(wrong, sure)

    entries = [*contenders(None), Contender('again', LidarMasks(None), 'given')]
    results = {result.name: result for result in compare(scenes, entries, predict)}
    assert told == [1]
    given = results['again'].confirmed()
    assert given['labels right alone %'] < 97 and given['right after masks %'] > 99  # type: ignore[operator]
    assert given['confirmed %'] > 80 and given['confirmed and right %'] > 99  # type: ignore[operator]
    assert results['again'].counts.recall == 1
    assert results['again'].counts.masks < results['superpixels (slic)'].counts.masks
    assert all(result.milliseconds > 0 for result in results.values())
    table = markdown([result.row() for result in results.values()])
    assert table.count('\n') == len(results) + 2 and '| again |' in table


def test_scenes_of_the_world_hold_what_is_needed() -> None:
    scene = next(draw_scenes('kitti', 1))
    assert scene.view.image.shape == scene.truth.class_id.shape + (3,) and scene.seen.mean() > 0.8
    result = count(scene, of(scene.truth.class_id.astype(int) + 100 * scene.truth.instance_id.astype(int)))
    assert result.points > 10_000 and result.purity > 0.95
    assert result.recall == 1


def test_boxes_judge_masks_by_their_points() -> None:
    scene = small_scene()
    box = np.where(scene.point_object > 0, scene.point_object - 1, 0).astype(np.int32)
    real = RealView('small', 'street64', scene.view, scene.cloud, box)
    truth = pixel_truth().astype(int)
    full = count_boxes(real, of(truth))
    assert full.objects == full.found == 2 and full.pure >= 0.95 * full.points
    merged = count_boxes(real, of(np.where(truth == 3, 2, truth)))
    assert merged.found == 1 and merged.objects == 2
    assert count_boxes(real, of(np.zeros_like(truth))) == replace(full, found=0, masked=0, pure=0)


@pytest.mark.skipif(not (DATA / 'kitti_000008').is_dir(), reason='needs the real frames in ../shared/data')
def test_real_cars_are_found(tmp_path: Path) -> None:
    view = next(view for view in real_views(DATA) if view.name.startswith('kitti_000008'))
    maker = LidarMasks(None)
    masks = maker.generate(view.view, view.cloud)
    counts = count_boxes(view, masks)
    assert counts.objects >= 4 and counts.found >= counts.objects - 1
    assert draw(tmp_path, view, maker, masks).stat().st_size > 10_000


def test_counts_of_nothing_are_zero() -> None:
    assert (MaskCounts().recall, MaskCounts().purity, MaskCounts().coverage) == (0, 0, 0)


def test_what_masks_could_teach_is_counted_by_hand() -> None:
    pytest.importorskip('torch', reason='the loss needs torch (extra [train])')
    from training.datasets.scans import Truth
    from training.masks.supervision import Supervision, supervision

    camera = Camera('front', 100, 100, np.array([[100.0, 0, 50, 0], [0, 100, 50, 0], [0, 0, 1, 0]]), np.eye(4))
    near = np.array([[0.1 * i, 0, 10] for i in range(-7, 8)], np.float32)  # fifteen points side by side, all in view
    xyz = np.concatenate([near, [[0, 0, 40.0]], [[0, 0, -5.0]]]).astype(np.float32)
    label = np.array([1] * 9 + [2] + [1] * 5 + [3, 1], np.uint8)
    ids = np.array([7] * 10 + [9] * 5 + [9, 0])  # one point of mask 7 is of another class, one of mask 9 far behind it

    class One:
        def cloud(self, index: int) -> PointCloud:
            return PointCloud(xyz, np.zeros(len(xyz), np.float32))

        def truth(self, index: int) -> Truth:
            return Truth(label, np.zeros(len(label), np.uint32))

        def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
            return (CameraView(camera, np.zeros((0, 0, 3), np.uint8), 0),)

    found = supervision(One(), 0, lambda data, index: ids, 0.0076, 1.73)  # type: ignore[arg-type]
    assert (found.points, found.in_view, found.masked, found.masks, found.sweeps) == (17, 16, 16, 2, 1)
    assert found.pure == 9 + 5
    # mask 7 counts whole; the far point of mask 9 is less than a fifth of it and is not trusted, the others by 5/6
    assert found.used == 2 and found.trusted == pytest.approx(10 + 5 * 5 / 6)
    assert found.trusted_pure == pytest.approx(9 + 5 * 5 / 6)
    assert (found + found).row()['purity %'] == 87.5
    assert Supervision().row()['purity %'] == 0
