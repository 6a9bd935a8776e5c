"""What a recording of the synthetic world yields for each sweep: sensor data and the exact truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import Frame


@dataclass(frozen=True, eq=False)
class PixelTruth:
    """Exact truth of one image, arrays [H, W].

    class_id     uint8, world class ids (``WORLD_CLASSES``); 0 = sky
    instance_id  uint16, 0 = none; the same object has the same id in points and pixels, over the whole sequence
    depth        float32, metres along the optical axis; inf = sky
    """

    class_id: np.ndarray
    instance_id: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, eq=False)
class SyntheticSweep:
    """One sweep with images and truth.

    frame            points as measured in the moving sensor's frame, with ``ring`` and ``time``; images
    point_class      uint8 [N], world class ids
    point_instance   uint16 [N]
    point_visible    one bool [N] per view: the surface point is seen by that camera (inside, not occluded)
    pixels           one ``PixelTruth`` per view
    T_world_lidar    float64 [4, 4], LiDAR pose at ``frame.cloud.stamp_ns`` (start of the sweep)
    T_world_lidar_end  float64 [4, 4], LiDAR pose at the end of the sweep (the motion between is a constant twist)
    """

    frame: Frame
    point_class: np.ndarray
    point_instance: np.ndarray
    point_visible: tuple[np.ndarray, ...]
    pixels: tuple[PixelTruth, ...]
    T_world_lidar: np.ndarray
    T_world_lidar_end: np.ndarray
