"""Cameras in one YAML file of our own, for recordings and vehicles that bring no calibration we can read.

    cameras:
      - name: front
        width: 1242
        height: 375
        K: [[721.5, 0, 609.6], [0, 721.5, 172.9], [0, 0, 1]]       # or projection: 3x4
        T_camera_lidar:                                            # LiDAR frame to the camera's optical frame
          translation: [0.0, -0.08, -0.27]                         # metres
          quaternion: [0.5, -0.5, 0.5, 0.5]                        # x, y, z, w; or give a 4x4 matrix instead
        distortion:                                                # only for raw images, with K
          model: plumb_bob                                         # or rational_polynomial, equidistant
          coefficients: [-0.32, 0.11, 0.0, 0.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.distortion import make_distortion
from sam2amml_core.geometry.extrinsics import check_extrinsics
from sam2amml_core.geometry.transforms import quaternion_to_matrix, transform

Vector = tuple[float, float, float]
Row4 = tuple[float, float, float, float]


class PoseEntry(BaseModel):
    """Translation in metres and quaternion x, y, z, w."""

    model_config = ConfigDict(extra='forbid')
    translation: Vector
    quaternion: Row4


class DistortionEntry(BaseModel):
    """A lens model as in CameraInfo."""

    model_config = ConfigDict(extra='forbid')
    model: str
    coefficients: list[float]


class CameraEntry(BaseModel):
    """One camera of the file."""

    model_config = ConfigDict(extra='forbid')
    name: str = Field(min_length=1)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    K: tuple[Vector, Vector, Vector] | None = None
    projection: tuple[Row4, Row4, Row4] | None = None
    T_camera_lidar: PoseEntry | tuple[Row4, Row4, Row4, Row4]
    distortion: DistortionEntry | None = None

    @model_validator(mode='after')
    def _one_intrinsic(self) -> CameraEntry:
        if (self.K is None) == (self.projection is None):
            raise ValueError('give either K (3x3) or projection (3x4)')
        return self

    def camera(self) -> Camera:
        if self.projection is not None:
            projection = np.array(self.projection, np.float64)
        else:
            projection = np.hstack((np.array(self.K, np.float64), np.zeros((3, 1))))
        if not (np.isfinite(projection).all() and projection[0, 0] > 0 and projection[1, 1] > 0):
            raise InputError(f'camera {self.name}: focal lengths must be above 0 pixels')
        if isinstance(self.T_camera_lidar, PoseEntry):
            pose = transform(quaternion_to_matrix(np.array(self.T_camera_lidar.quaternion)),
                             np.array(self.T_camera_lidar.translation))
        else:
            pose = np.array(self.T_camera_lidar, np.float64)
        lens = None
        if self.distortion is not None:
            lens = make_distortion(self.name, self.distortion.model, np.array(self.distortion.coefficients))
        return Camera(self.name, self.width, self.height, projection, check_extrinsics(self.name, pose), lens)


class CalibrationFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra='forbid')
    cameras: list[CameraEntry] = Field(min_length=1)


def read_calibration_file(path: Path) -> tuple[Camera, ...]:
    """The cameras of a YAML calibration file. Raises InputError naming the file, the entry and what is wrong."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f'calibration file {path} is missing') from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'calibration file {path} cannot be read: {error}') from error
    except yaml.YAMLError as error:
        raise InputError(f'calibration file {path} is not valid YAML: {error}') from error
    try:
        entries = CalibrationFile.model_validate(content).cameras
    except ValidationError as error:
        wrong = '; '.join(f'{".".join(map(str, item["loc"])) or "file"}: {item["msg"]}' for item in error.errors()[:5])
        raise InputError(f'calibration file {path}: {wrong}') from error
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise InputError(f'calibration file {path}: camera names repeat ({", ".join(names)}); give each its own')
    try:
        return tuple(entry.camera() for entry in entries)
    except InputError as error:
        raise InputError(f'calibration file {path}: {error}') from error


def write_calibration_file(path: Path, cameras: Sequence[Camera]) -> None:
    """Write cameras so that ``read_calibration_file`` returns the same. Raises InputError when it cannot be written."""
    entries: list[dict] = []
    for camera in cameras:
        entries.append({'name': camera.name, 'width': camera.width, 'height': camera.height,
                        'projection': camera.projection.tolist(), 'T_camera_lidar': camera.T_camera_lidar.tolist()})
        if camera.distortion is not None:
            entries[-1]['distortion'] = {'model': camera.distortion.model,
                                         'coefficients': list(camera.distortion.coefficients)}
    try:
        Path(path).write_text(yaml.safe_dump({'cameras': entries}, sort_keys=False, default_flow_style=None))
    except OSError as error:
        raise InputError(f'cannot write calibration file {path}: {error.strerror}') from error
