"""All calibration readers in one place."""

from sam2amml_core.geometry.calibration_file import read_calibration_file, write_calibration_file
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.geometry.kitti import KittiCalibration, read_kitti_calib
from sam2amml_core.geometry.nuscenes import NuScenesTables

__all__ = ['KittiCalibration', 'NuScenesTables', 'camera_from_info', 'read_calibration_file', 'read_kitti_calib',
           'write_calibration_file']
