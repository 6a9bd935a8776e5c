"""SemanticKITTI's layout: ``sequences/NN`` with sweeps, labels, images, calibration, poses and times.

As in the odometry data the sweeps are compensated for the vehicle's own motion, to the moment of the images; poses are
those of the rectified camera 0, relative to its first, and a LiDAR pose is ``inv(Tr) @ pose @ Tr``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.transforms import invert, transform
from sam2amml_core.io.labels import make_folder, write_label
from training.world.classes import SEMANTIC_KITTI_RAW
from training.world.compensation import compensated
from training.world.sweep import SyntheticSweep

BASELINE_M = 0.54
"""Between the two grey cameras 0 and 1, of which KITTI keeps the matrices."""

MOVING_RAW = {10: 252, 13: 257, 18: 258, 20: 259, 30: 254, 31: 253, 32: 255}
"""Raw id of a standing thing -> of the same thing on the move."""

_FOLDERS = ('velodyne', 'labels', 'image_2', 'image_3')


class SemanticKittiSequence:
    """Writes one sequence, sweep by sweep.

    cameras  image_2 first, then perhaps image_3: their calibration is written even if no images are
    period   seconds per turn of the LiDAR
    moving   instance ids of what moves: SemanticKITTI has raw ids of its own for that
    Raises InputError when the folder cannot be written or the cameras are no rectified stereo pair.
    """

    def __init__(self, folder: Path, cameras: Sequence[Camera], period: float, moving: Collection[int] = ()) -> None:
        self.folder, self._period = folder, period
        self._moving = np.array(sorted(moving), np.uint16)
        self._count = 0
        for name in _FOLDERS[:2 + len(cameras)]:
            make_folder(folder / name)
            for old in (folder / name).iterdir():
                old.unlink()
        for name in ('poses.txt', 'times.txt'):
            (folder / name).write_text('')
        self._T_cam0_lidar, projections = rectified(cameras)
        self._T_first = np.eye(4)
        self._first_ns = 0
        rows = {**{f'P{i}': p for i, p in enumerate(projections)}, 'Tr': self._T_cam0_lidar[:3]}
        (folder / 'calib.txt').write_text(''.join(f'{name}: {_numbers(m)}\n' for name, m in rows.items()))

    def write(self, sweep: SyntheticSweep) -> str:
        """Append one sweep with its labels, images, pose and time; return what its files are called."""
        name = f'{self._count:06d}'
        xyz, T_world_lidar = compensated(sweep, self._period, 0.5)
        stamp = sweep.frame.cloud.stamp_ns + round(self._period * 5e8)
        T_world_cam0 = T_world_lidar @ invert(self._T_cam0_lidar)
        if self._count == 0:
            self._T_first, self._first_ns = T_world_cam0, stamp
        points = np.concatenate([xyz, sweep.frame.cloud.intensity[:, None]], 1).astype('<f4')
        points.tofile(self.folder / 'velodyne' / f'{name}.bin')
        write_label(self.folder / 'labels' / f'{name}.label', self._raw(sweep))
        for view in sweep.frame.views:
            path = self.folder / view.camera.name / f'{name}.png'
            if not cv2.imwrite(str(path), np.ascontiguousarray(view.image[..., ::-1])):
                raise InputError(f'cannot write {path}; choose another output folder')
        with (self.folder / 'poses.txt').open('a') as poses, (self.folder / 'times.txt').open('a') as times:
            poses.write(_numbers((invert(self._T_first) @ T_world_cam0)[:3]) + '\n')
            times.write(f'{(stamp - self._first_ns) / 1e9:.6e}\n')
        self._count += 1
        return name

    def _raw(self, sweep: SyntheticSweep) -> np.ndarray:
        raw = SEMANTIC_KITTI_RAW[sweep.point_class]
        table = np.arange(int(SEMANTIC_KITTI_RAW.max()) + 1, dtype=np.uint32)
        table[list(MOVING_RAW)] = list(MOVING_RAW.values())
        raw = np.where(np.isin(sweep.point_instance, self._moving), table[raw], raw)
        return raw | sweep.point_instance.astype(np.uint32) << 16


def rectified(cameras: Sequence[Camera]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """KITTI's form of a stereo rig: T_cam0_lidar [4, 4] and P0..P3 [3, 4], whose fourth columns hold the baselines.

    Camera 0 looks as image_2's and lies level with it, in the vertical plane through the LiDAR. Raises InputError when
    the cameras are not one or two, or turned against each other.
    """
    if not 1 <= len(cameras) <= 2:
        raise InputError(f'{len(cameras)} cameras given; the SemanticKITTI layout has one or two, image_2 and image_3')
    first = cameras[0].T_camera_lidar
    T_cam0_lidar = transform(first[:3, :3], np.array([0.0, *first[1:3, 3]]))
    projections = []
    for camera in cameras:
        shift = camera.T_camera_lidar @ invert(T_cam0_lidar)
        if np.abs(shift[:3, :3] - np.eye(3)).max() > 1e-6:
            raise InputError(f'camera {camera.name} is turned against {cameras[0].name}; '
                             'the SemanticKITTI layout holds a rectified pair only')
        projections.append(camera.projection @ shift)
    grey = cameras[0].projection
    right = grey @ transform(np.eye(3), np.array([-BASELINE_M, 0, 0]))
    return T_cam0_lidar, (grey, right, *projections, *projections[:2 - len(projections)])


def _numbers(matrix: np.ndarray) -> str:
    return ' '.join(f'{x:.12e}' for x in matrix.ravel())
