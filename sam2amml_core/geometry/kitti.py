"""KITTI calibration text: odometry (``P2``, ``Tr``), object (``P2``, ``R0_rect``, ``Tr_velo_to_cam``) and raw files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.transforms import check_rigid, transform

SIZES = {'P': (12,), 'Tr': (12, 16), 'R': (9, 16), 'T': (3,)}


@dataclass(frozen=True, eq=False)
class KittiCalibration:
    """What a KITTI calibration says; ``T_cam0_lidar`` leads to the rectified frame of camera 0.

    projections  camera number -> float64 [3, 4]; its fourth column holds the baseline to camera 0
    """

    path: Path
    projections: dict[int, np.ndarray]
    T_cam0_lidar: np.ndarray

    def camera(self, number: int, width: int, height: int, name: str | None = None) -> Camera:
        """Camera ``number`` (2 = left colour) for images of the given size. Raises InputError when it is not there."""
        if number not in self.projections:
            raise InputError(f'matrix P{number} is missing in {self.path} (it has '
                             f'{", ".join(f"P{n}" for n in sorted(self.projections)) or "no P matrix"}); '
                             'copy the original calibration file')
        return Camera(name or f'image_{number}', width, height, self.projections[number], self.T_cam0_lidar)


def read_kitti_calib(path: Path) -> KittiCalibration:
    """Read a ``calib.txt`` of the odometry or of the object dialect, or the folder of the raw pair of files
    (``calib_cam_to_cam.txt``, ``calib_velo_to_cam.txt``).

    Blank lines, ``calib_time`` and other entries are passed over.
    Raises InputError naming the matrix, the file and the remedy.
    """
    path = Path(path)
    if path.is_dir():
        return _read_raw(path)
    matrices = read_matrices(path)
    projections = {int(name[1]): values.reshape(3, 4) for name, values in matrices.items()
                   if len(name) == 2 and name[0] == 'P' and name[1].isdigit()}
    if 'Tr' in matrices:
        pose = _pose(matrices['Tr'], 'Tr', path)
    else:
        velo = next((name for name in ('Tr_velo_to_cam', 'Tr_velo_cam') if name in matrices), None)
        if velo is None:
            raise InputError(f'matrix Tr (odometry) or Tr_velo_to_cam (object) is missing in {path}; '
                             'copy the original calibration file')
        rectify = next((name for name in ('R0_rect', 'R_rect') if name in matrices), None)
        if rectify is None:
            raise InputError(f'matrix R0_rect is missing in {path}, needed beside {velo}; '
                             'copy the original calibration file')
        pose = _rotation(matrices[rectify], rectify, path) @ _pose(matrices[velo], velo, path)
    return KittiCalibration(path, projections, pose)


def read_matrices(path: Path) -> dict[str, np.ndarray]:
    """The named rows of numbers of a KITTI calibration file. Raises InputError when unreadable or of a wrong size."""
    try:
        lines = Path(path).read_text().splitlines()
    except FileNotFoundError:
        raise InputError(f'calibration {path} is missing; put the calib.txt of the recording there') from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'calibration {path} cannot be read: {error}') from error
    matrices = {}
    for line in lines:
        name, colon, rest = line.partition(':')
        name = name.strip()
        if not colon or name == 'calib_time':
            if not colon and line.strip():
                name, *words = line.split()  # a dialect without colons
                rest = ' '.join(words)
            else:
                continue
        try:
            values = np.array([float(word) for word in rest.split()], np.float64)
        except ValueError:
            continue  # text entries: corner_dist, calib_time and their like
        allowed = next((SIZES[key] for key in ('Tr', 'P', 'R', 'T') if _is(name, key)), None)
        if allowed and len(values) not in allowed:
            raise InputError(f'matrix {name} in {path} has {len(values)} numbers, expected {allowed[0]}; '
                             'the file is damaged, copy it again')
        if not np.isfinite(values).all():
            raise InputError(f'matrix {name} in {path} holds values that are not finite')
        matrices[name] = values
    return matrices


def _is(name: str, key: str) -> bool:
    if key == 'P':
        return (len(name) == 2 and name[0] == 'P' and name[1].isdigit()) or name.startswith('P_rect')
    if key == 'R':
        return name == 'R' or name.startswith(('R0_rect', 'R_rect'))
    if key == 'Tr':
        return name == 'Tr' or name.startswith('Tr_')
    return name == key


def _pose(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    pose = np.eye(4)
    pose[:len(values) // 4] = values.reshape(-1, 4)
    return check_rigid(pose, f'matrix {name} in {path}')


def _rotation(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    if len(values) == 16:
        return check_rigid(values.reshape(4, 4), f'matrix {name} in {path}')
    return check_rigid(transform(values.reshape(3, 3), np.zeros(3)), f'matrix {name} in {path}')


def _read_raw(folder: Path) -> KittiCalibration:
    """The raw recordings' pair of files, which lie in the folder of the day."""
    cameras_path, velo_path = folder / 'calib_cam_to_cam.txt', folder / 'calib_velo_to_cam.txt'
    cameras, velo = read_matrices(cameras_path), read_matrices(velo_path)
    for name, matrices, path in (('R_rect_00', cameras, cameras_path), ('R', velo, velo_path), ('T', velo, velo_path)):
        if name not in matrices:
            raise InputError(f'matrix {name} is missing in {path}; copy the original calibration file')
    projections = {int(name[-2:]): values.reshape(3, 4) for name, values in cameras.items()
                   if name.startswith('P_rect_')}
    pose = check_rigid(transform(velo['R'].reshape(3, 3), velo['T']), f'matrix R, T in {velo_path}')
    rectify = _rotation(cameras['R_rect_00'], 'R_rect_00', cameras_path)
    return KittiCalibration(cameras_path, projections, rectify @ pose)
