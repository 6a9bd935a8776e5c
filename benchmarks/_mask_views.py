"""The two ways to prompt SAM2 on the same synthetic views with the same weights, for mask_prompts.py and mask_time.py.
"""

from __future__ import annotations

import json
import os
import sys

ONE_THREAD = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}


def on_one_thread() -> None:
    """Start again with one thread; before numpy loads BLAS."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})


def skip(name: str, error: Exception) -> None:
    """Say why it cannot be measured here, as run_all.py reads it, and end."""
    print(json.dumps({'name': name, 'skipped': str(error)}))
    sys.exit(0)


def measure(name: str, views: int) -> tuple:
    """Results of (automatic, LiDAR prompts), each by ``training.masks.comparison``; skips where SAM2 is missing."""
    on_one_thread()
    try:
        import cv2
        import torch

        from sam2amml_core.masks.sam2_model import load
        from training.masks.automatic import AutomaticMasks

        sam = load('sam2_nano')
        automatic = AutomaticMasks(sam)
    except Exception as error:  # whatever is missing: packages, or weights that were not fetched
        skip(name, error)
    from sam2amml_core.masks.lidar_masks import LidarMasks
    from sam2amml_core.segmenter import Segmenter
    from training.masks.comparison import Contender, compare
    from training.masks.scenes import draw_scenes

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scenes = list(draw_scenes('kitti', views))
    segmenter = Segmenter.open('street64', threads=1)
    ours = LidarMasks(sam)
    ours.generate(scenes[0].view, scenes[0].cloud)  # whatever is slow the first time
    entries = [Contender('automatic', automatic), Contender('LiDAR prompts', ours, 'predicted')]
    results = compare(scenes, entries, lambda scene: segmenter.segment(scene.frame))
    for result in results:
        print(' '.join(f'{key}: {value}' for key, value in result.row().items()))
    return tuple(results)
