"""``sam2amml masks-reality``: masks of real frames, drawn and judged by annotated boxes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.frame import Frame
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.masks.lidar_masks import LidarMasks
from sam2amml_core.masks.superpixels import SuperpixelMasks, SuperpixelSettings
from sam2amml_core.segmenter import Segmenter
from training.masks.real_frames import BoxCounts, count_boxes, draw, real_views


def run(data: Path, model: str, checkpoint: Path | None, threads: int, output: Path) -> list[dict[str, float | str]]:
    """Write pictures and ``masks_reality.json`` into ``output``; print and return the table.

    Raises InputError when the frames are not there.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    console = Console(stderr=True)
    views = list(real_views(data))
    if not views:
        raise InputError(f'{data} holds no real frame with boxes; give the folder that has kitti_000008')
    makers: list[tuple[str, MaskGenerator, bool]] = [
        ('superpixels (slic)', SuperpixelMasks(), False),
        ('superpixels (felzenszwalb)', SuperpixelMasks(SuperpixelSettings('felzenszwalb')), False),
        ('outlines of clusters', LidarMasks(None), False), ('outlines, predicted classes', LidarMasks(None), True)]
    try:
        import cv2

        from sam2amml_core.masks.sam2_model import load

        sam = load(model, checkpoint)
        import torch

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        makers += [('SAM2 + LiDAR, clusters', LidarMasks(sam), False),
                   ('SAM2 + LiDAR, predicted classes', LidarMasks(sam), True)]
    except (ImportError, EngineError, InputError) as error:
        console.print(f'without SAM2: {error}', markup=False)
    segmenters = {name: Segmenter.open(name, threads=threads) for name in {view.model for view in views}}
    predicted = {id(view.cloud): segmenters[view.model].segment(Frame(view.cloud)).class_id for view in views}
    rows: list[dict[str, float | str]] = []
    for name, maker, told in makers:
        counts, spent, masks_made = BoxCounts(), 0.0, 0
        for view in views:
            start = perf_counter()
            masks = maker.generate(view.view, view.cloud, predicted[id(view.cloud)] if told else None)
            spent += perf_counter() - start
            counts, masks_made = counts + count_boxes(view, masks), masks_made + len(masks)
            draw(output / ('predicted' if told else 'geometry'), view, maker, masks)
        rows.append({'masks from': name, 'boxes': counts.objects,
                     'boxes found %': round(100 * counts.found / max(1, counts.objects), 1),
                     'box points in masks %': round(100 * counts.masked / max(1, counts.points), 1),
                     'of those in a mask of their box %': round(100 * counts.pure / max(1, counts.masked), 1),
                     'masks': round(masks_made / len(views)), 'ms': round(1e3 * spent / len(views))})
    table = Table(title=f'{len(views)} real images')
    for key in rows[0]:
        table.add_column(key, justify='left' if key == 'masks from' else 'right')
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    (output / 'masks_reality.json').write_text(json.dumps(rows, indent=1) + '\n')
    return rows
