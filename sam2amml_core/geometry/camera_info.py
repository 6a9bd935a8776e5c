"""A ``sensor_msgs/CameraInfo`` and extrinsics to a Camera, without ROS (any object with the message's attributes)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.distortion import make_distortion
from sam2amml_core.geometry.extrinsics import check_extrinsics


def camera_from_info(info: Any, T_camera_lidar: np.ndarray, name: str, rectified: bool = False) -> Camera:
    """The Camera of an image topic.

    info           attributes ``width, height, d, k, r, p, binning_x, binning_y, roi`` (upper case as in ROS 1 works)
    T_camera_lidar float64 [4, 4], LiDAR frame to the info's optical frame
    rectified      True for images that were rectified (``image_rect``): P is used, distortion does not matter.
                   False for raw images: K is used, with the lens model (plumb_bob, rational_polynomial, equidistant)

    Binning and a region of interest are honoured. As everywhere in ROS, P is applied to points of the optical frame
    of the message's ``frame_id``, without R.
    Raises InputError for an uncalibrated camera, a lens model that is not supported, or extrinsics of the
    wrong kind of frame.
    """
    k, p, d = (_values(info, field) for field in 'kpd')
    if k.size != 9 or k[0] == 0:
        raise InputError(f'camera {name} is not calibrated (CameraInfo K[0] is 0); calibrate it and load the result '
                         'into its driver, or give a calibration file')
    lens = None
    if rectified and p.size == 12 and p[0] != 0:
        projection = p.reshape(3, 4).copy()
    elif rectified and np.any(d != 0):
        raise InputError(f'camera {name} has no P matrix, though its images are said to be rectified; calibrate it '
                         'again, or set rectified to false for raw images')
    else:
        projection = np.hstack((k.reshape(3, 3), np.zeros((3, 1))))
        lens = make_distortion(name, str(getattr(info, 'distortion_model', '')), d)
    if np.abs(projection[1:, 0]).max() > 0 or np.abs(projection[2, 1:3] - (0, 1)).max() > 0:
        raise InputError(f'camera {name}: CameraInfo matrix {np.round(projection[:, :3], 4).tolist()} is no camera '
                         'matrix (its lower left must be 0, its last row 0 0 1); calibrate it again')
    if not (np.isfinite(projection).all() and projection[0, 0] > 0 and projection[1, 1] > 0):
        raise InputError(f'camera {name}: CameraInfo focal lengths are {projection[0, 0]:g} and {projection[1, 1]:g}; '
                         'calibrate it again')
    width, height = int(info.width), int(info.height)
    region = getattr(info, 'roi', None)
    if region is not None and region.width and region.height:
        projection[0] -= region.x_offset * projection[2]
        projection[1] -= region.y_offset * projection[2]
        width, height = int(region.width), int(region.height)
    for row, field in enumerate(('binning_x', 'binning_y')):
        factor = max(1, int(getattr(info, field, 1) or 1))
        projection[row] /= factor
        width, height = (width // factor, height) if row == 0 else (width, height // factor)
    return Camera(name, width, height, projection, check_extrinsics(name, T_camera_lidar), lens)


def _values(info: Any, field: str) -> np.ndarray:
    found = getattr(info, field, None)
    if found is None:
        found = getattr(info, field.upper(), ())
    return np.asarray(found, np.float64).ravel()
