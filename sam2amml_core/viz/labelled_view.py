"""A camera image with the points it sees drawn over it."""

from __future__ import annotations

import numpy as np

from sam2amml_core.frame import CameraView
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.viz.overlay import overlay


def labelled_view(view: CameraView, xyz: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Image uint8 [H, W, 3] of a view with a sweep's visible points, one dot each.

    xyz float32 [N, 3], metres, LiDAR frame; colors uint8 [N, 3] RGB. Raises InputError when the shapes do not fit.
    """
    points = project(xyz, [view.camera])[0]
    seen = visible_points(points, view.camera)
    return overlay(view.image, points.uv[seen], colors[points.index[seen]])
