"""Makers of masks side by side on the same scenes: what they find, how pure, how many prompts, how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from sam2amml_core.frame import PointLabels
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.masks.lidar_masks import LidarMasks, LidarMaskSettings
from sam2amml_core.masks.sam2_model import Sam2
from sam2amml_core.masks.superpixels import SuperpixelMasks, SuperpixelSettings
from training.masks.scenes import Scene
from training.masks.scores import MaskCounts, count


@dataclass(frozen=True)
class Contender:
    """A maker of masks under a name; classes: what it is told of the points (none, predicted or given)."""

    name: str
    maker: MaskGenerator
    classes: str = 'none'


@dataclass(frozen=True)
class Result:
    """Of one contender over all scenes; prompts and milliseconds for each image."""

    name: str
    counts: MaskCounts
    prompts: float
    milliseconds: float

    def row(self) -> dict[str, float | str]:
        """For tables and JSON; shares in percent."""
        counts = self.counts
        return {'masks from': self.name, 'object recall %': round(100 * counts.recall, 1),
                'point purity %': round(100 * counts.purity, 1), 'points in masks %': round(100 * counts.coverage, 1),
                'masks': round(counts.masks, 1), 'prompts': round(self.prompts, 1),
                'ms': round(self.milliseconds, 1), 'objects': counts.objects}

    def confirmed(self) -> dict[str, float | str]:
        """What the masks make of a LiDAR network's labels; shares of points in percent."""
        counts, points = self.counts, max(1, self.counts.points)
        return {'masks from': self.name, 'labels right alone %': round(100 * counts.right_before / points, 2),
                'right after masks %': round(100 * counts.right_after / points, 2),
                'confirmed %': round(100 * counts.confirmed / points, 1),
                'confirmed and right %': round(100 * counts.confirmed_right / max(1, counts.confirmed), 1)}


def contenders(sam: Sam2 | None, automatic: bool = True) -> list[Contender]:
    """Ours by each source of proposals, and the alternatives."""
    found = [Contender('superpixels (slic)', SuperpixelMasks()),
             Contender('superpixels (felzenszwalb)', SuperpixelMasks(SuperpixelSettings('felzenszwalb'))),
             Contender('outlines of clusters', LidarMasks(None)),
             Contender('outlines, predicted classes', LidarMasks(None), 'predicted')]
    if sam is None:
        return found
    if automatic:
        from training.masks.automatic import AutomaticMasks

        loose = AutomaticMasks(sam, pred_iou_thresh=0.5, stability_score_thresh=0.6)
        found[:0] = [Contender('SAM2 automatic', AutomaticMasks(sam)),
                     Contender('SAM2 automatic, lower thresholds', loose)]
    return [*found, *(Contender(f'SAM2 + LiDAR, {text}', LidarMasks(sam), classes) for text, classes in (
        ('clusters', 'none'), ('predicted classes', 'predicted'), ('given classes', 'given')))]


def ablations(sam: Sam2, classes: str = 'predicted') -> list[Contender]:
    """Ours with each strategy switched off, one at a time."""
    full = LidarMaskSettings()

    def without(text: str, prompts: dict[str, object] | None = None, fusion: dict[str, object] | None = None,
                tiling: bool = True, cut: bool = True) -> Contender:
        settings = replace(full, prompts=replace(full.prompts, **(prompts or {})),  # type: ignore[arg-type]
                           fusion=replace(full.fusion, **(fusion or {})), tiling=tiling,  # type: ignore[arg-type]
                           surface_cut=full.surface_cut if cut else None)
        return Contender(text, LidarMasks(sam, settings), classes)

    return [
        without('all strategies'),
        without('no boundary-prompt elimination', prompts={'elimination': False}),
        without('no negative points', prompts={'negatives': 0}),
        without('no boxes', prompts={'boxes': False}),
        without('no areas', prompts={'areas': False}),
        without('points only', prompts={'areas': False, 'boxes': False}),
        without('no choice by 3D agreement', fusion={'granularity': False}),
        without('no merging', fusion={'merge': False}),
        without('no suppression', fusion={'suppress': False}),
        without('no outlines where SAM2 fails', fusion={'outlines': False}),
        without('no tiles', tiling=False),
        without('surfaces not cut', cut=False),
    ]


def compare(scenes: Sequence[Scene], entries: Sequence[Contender],
            predict: Callable[[Scene], PointLabels], on_done: Callable[[], None] = lambda: None) -> list[Result]:
    """Run all on all scenes, one after the other on each, so that a busy machine is busy for all of them.

    predict  labels of a scene's points by a LiDAR network; its time is not counted
    """
    sums = [MaskCounts() for _ in entries]
    prompts, spent = np.zeros(len(entries)), np.zeros(len(entries))
    for scene in scenes:
        labels = predict(scene)
        told = {'none': None, 'given': scene.point_class, 'predicted': labels.class_id}
        for row, entry in enumerate(entries):
            start = perf_counter()
            masks = entry.maker.generate(scene.view, scene.cloud, told[entry.classes])
            spent[row] += perf_counter() - start
            sums[row] += count(scene, masks, labels)
            prompts[row] += getattr(entry.maker, 'prompted', 0)
            on_done()
    number = max(1, len(scenes))
    return [Result(entry.name, replace(total, masks=round(total.masks / number)), float(asked / number),
                   float(1e3 * time / number))
            for entry, total, asked, time in zip(entries, sums, prompts, spent, strict=True)]
