"""Any input the command line takes, recognised by what lies in it."""

from __future__ import annotations

from pathlib import Path

from sam2amml_core.errors import InputError
from sam2amml_core.io.bin_folder import BinFolder
from sam2amml_core.io.kitti import CLOUDS, KittiFolder
from sam2amml_core.io.nuscenes import NuScenesRoot
from sam2amml_core.io.sample_folder import SampleFolder
from sam2amml_core.io.source import InputSource

KINDS = ('a .bin file or a folder of them, a KITTI or SemanticKITTI folder (velodyne/, image_2/, calib.txt), '
         'a nuScenes root (v1.0-*/), a folder with sample.json, or a ROS 2 bag (.mcap, .db3 or its folder)')


def open_input(path: str | Path, images: bool = True) -> InputSource:
    """Open a recording for reading; iterate over it for (name, Frame).

    images: read the pictures too (False is faster, views are then empty).
    Raises InputError when the path is missing or of no known kind.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f'input {path} does not exist')
    if path.suffix in ('.mcap', '.db3') or (path / 'metadata.yaml').is_file() or _holds(path, '*.mcap', '*.db3'):
        from sam2amml_core.io.bag import BagInput  # needs rosbags, which not every installation has

        return BagInput(path, images=images)
    if (path / 'sequence.json').is_file() and (path / 'bag').is_dir():  # written by ``sam2amml world-bag``
        from sam2amml_core.io.bag import BagInput

        return BagInput(path / 'bag', images=images, labels=path / 'labels')
    if path.is_file():
        if path.suffix != '.bin':
            raise InputError(f'input {path} is of no known kind; give {KINDS}')
        return BinFolder(path)
    if (path / 'sample.json').is_file() and not (path / 'sample_data.json').is_file():
        return SampleFolder(path, images)
    if (path / 'sample_data.json').is_file() or _holds(path, 'v1.0-*'):
        return NuScenesRoot(path, images)
    if (path / 'velodyne.bin').is_file() or any((path / name).is_dir() for name in CLOUDS):
        return KittiFolder(path, images)
    if _holds(path, '*.bin'):
        return BinFolder(path)
    raise InputError(f'input {path} is of no known kind; give {KINDS}')


def _holds(path: Path, *patterns: str) -> bool:
    return path.is_dir() and any(next(path.glob(pattern), None) is not None for pattern in patterns)
