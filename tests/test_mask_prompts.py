"""Proposals in 3D, and prompts in the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mask_scene import FIRST, GROUND, SECOND, TRAIN_ID, WALL, make_scene

from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.masks.outlines import outline, prior_logits
from sam2amml_core.masks.prompts import PromptSettings, beam_reach, interior_distance, make_prompts
from sam2amml_core.masks.proposals import Proposals, from_classes, from_geometry, hanging_together

pytest.importorskip('scipy', reason='the extra [masks] is not installed')


def share(number: np.ndarray, part: np.ndarray, one: int) -> tuple[int, float]:
    """The proposal that holds most of a part, and the IoU of both."""
    count = np.bincount(number[part == one])
    best = int(count[1:].argmax()) + 1
    return best, float(count[best] / ((part == one) | (number == best)).sum())


def test_geometry_finds_the_ground_the_objects_and_the_wall() -> None:
    _, cloud, part = make_scene()
    proposals = from_geometry(cloud.xyz)
    found = {one: share(proposals.number, part, one) for one in (GROUND, FIRST, SECOND, WALL)}
    assert len({number for number, _ in found.values()}) == 4
    for one, least in ((GROUND, 0.9), (FIRST, 0.8), (SECOND, 0.8), (WALL, 0.9)):
        assert found[one][1] > least, (one, found)
    surfaces = [one for one in found if proposals.surface[found[one][0]]]
    assert surfaces == [GROUND, WALL]


def test_classes_give_one_proposal_for_each_object_and_surface() -> None:
    _, cloud, part = make_scene()
    classes = TRAIN_ID[part]
    proposals = from_classes(cloud.xyz, classes, SEMANTIC_KITTI)
    for one in (GROUND, FIRST, SECOND, WALL):
        number, iou = share(proposals.number, part, one)
        assert iou > 0.97
        assert proposals.surface[number] == (one in (GROUND, WALL))
    classes[part == FIRST] = 255
    hidden = from_classes(cloud.xyz, classes, SEMANTIC_KITTI)
    assert (hidden.number[part == FIRST] == 0).all() and len(hidden) == len(proposals) - 1


def test_points_join_within_reach_and_kind() -> None:
    x = np.array([5.0, 5.3, 6.0, 40.0, 41.0, 43.0], np.float32)
    xyz = np.stack((x, np.zeros(6, np.float32), np.zeros(6, np.float32)), axis=1)
    assert hanging_together(xyz).tolist() == [0, 0, 1, 2, 2, 3]
    assert len(set(hanging_together(xyz, np.array([1, 2, 1, 1, 1, 1])))) == 5
    assert hanging_together(xyz[:0]).shape == (0,)


def test_empty_clouds_have_no_proposals() -> None:
    assert len(from_geometry(np.zeros((0, 3), np.float32))) == 0
    assert len(from_classes(np.zeros((0, 3), np.float32), np.zeros(0, np.uint8), SEMANTIC_KITTI)) == 0


def prompts_of(settings: PromptSettings) -> tuple[list, Proposals, np.ndarray, np.ndarray]:
    view, cloud, part = make_scene()
    points = project(cloud.xyz, [view.camera])[0]
    seen = visible_points(points, view.camera)
    index, uv, depth = points.index[seen], points.uv[seen], points.depth[seen]
    proposals = from_classes(cloud.xyz[index], TRAIN_ID[part[index]], SEMANTIC_KITTI)
    reach = beam_reach(points, view.camera)
    return make_prompts(uv, depth, proposals, view.camera, reach, settings), proposals, uv, part[index]


def test_prompts_hold_points_inside_and_outside_and_a_box_around_them() -> None:
    prompts, proposals, uv, part = prompts_of(PromptSettings())
    assert len(prompts) == len(proposals) == 4
    for prompt in prompts:
        own = uv[proposals.number == prompt.proposal]
        assert (own >= prompt.box[:2]).all() and (own <= prompt.box[2:]).all()
        assert 1 <= prompt.inside.sum() <= 3 and (~prompt.inside).sum() <= 2
        for point, inside in zip(prompt.points, prompt.inside, strict=True):
            nearest = np.square(uv - point).sum(axis=1).argmin()
            assert (proposals.number[nearest] == prompt.proposal) == inside


def test_elimination_keeps_points_away_from_edges_and_drops_no_object() -> None:
    full, proposals, uv, _ = prompts_of(PromptSettings(positives=6))
    bare, _, _, _ = prompts_of(replace(PromptSettings(positives=6), elimination=False))
    view, _, _ = make_scene()
    distance = interior_distance(uv, np.full(len(uv), 10, np.float32), proposals.number, view.camera, (2.0, 2.0))

    def mean(prompts: list) -> float:
        points = np.concatenate([prompt.points[prompt.inside] for prompt in prompts if not prompt.surface])
        return float(np.mean([distance[np.square(uv - point).sum(axis=1).argmin()] for point in points]))

    assert {prompt.proposal for prompt in full} == {prompt.proposal for prompt in bare}
    assert mean(full) > 2 * mean(bare)


def test_a_step_of_depth_is_an_edge() -> None:
    view, _, _ = make_scene()
    u, v = np.meshgrid(np.arange(100, 200, 4.0), np.arange(60, 100, 4.0))
    uv = np.stack((u.ravel(), v.ravel()), axis=1).astype(np.float32)
    one = np.ones(len(uv), np.int32)
    flat = np.full(len(uv), 10.0, np.float32)
    step = np.where(uv[:, 0] < 150, 10.0, 14.0).astype(np.float32)
    near = np.abs(uv[:, 0] - 150) < 5
    assert interior_distance(uv, flat, one, view.camera, (2.0, 2.0)).min() > 5
    assert (interior_distance(uv, step, one, view.camera, (2.0, 2.0))[near] == 0).all()


def test_parts_can_be_switched_off() -> None:
    prompts, _, _, _ = prompts_of(PromptSettings(negatives=0, positives=1))
    assert all(len(prompt.points) == 1 and prompt.inside.all() for prompt in prompts)
    several, _, _, _ = prompts_of(PromptSettings(surface_prompts=4))
    assert len(several) == 2 + 2 * 4
    assert not prompts_of(PromptSettings(smallest_points=100_000))[0]


def test_an_outline_joins_rows_of_points_and_keeps_to_them() -> None:
    column, row = np.meshgrid(np.arange(20, 60, 2), np.arange(30, 70, 6))
    area = outline(np.stack((column.ravel(), row.ravel()), axis=1), (100, 120), (1.0, 3.0))
    assert area[30:67, 20:59].all()
    outside = area.copy()
    outside[27:70, 19:60] = False
    assert not outside.any()
    assert not outline(np.array([[-5, 3], [200, 4]]), (100, 120), (1.0, 3.0)).any()
    logits = prior_logits(area[:100, :100])
    assert logits.shape == (25, 25) and logits.max() == 6 and logits.min() == -6
