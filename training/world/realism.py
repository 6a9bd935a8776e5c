"""The synthetic world held against real recordings: which sweeps and images are compared, and their statistics.

The real frames lie outside the project; only statistics of them are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.io.clouds import read_cloud
from sam2amml_core.io.facing import face_forward
from sam2amml_core.io.images import read_image
from sam2amml_core.io.labels import read_label
from sam2amml_core.labels import COARSE_NAMES, SEMANTIC_KITTI, SEMANTIC_KITTI_TO_COARSE
from training.reality import KITTI_IMAGES, KITTI_SWEEP, NUSCENES_IMAGES, range_image_sweeps
from training.sweep_cache import world_to_train
from training.sweep_writer import FIRST_SEED
from training.world.image_statistics import image_statistics
from training.world.record import record
from training.world.sensors import LidarSpec, SensorRig, hdl32, hdl64, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS
from training.world.statistics.beams import beam_shares, drop_out
from training.world.statistics.classes import class_shares
from training.world.statistics.ground import ground_share
from training.world.statistics.intensity import intensity_by_class, intensity_quantiles
from training.world.statistics.measured import MeasuredSweep, measured
from training.world.statistics.ranges import range_quantiles
from training.world.statistics.voxels import occupied_neighbours

COARSE = ('none', *COARSE_NAMES[:-1])
SPLITS_SHOWN = ('test', 'train')


@dataclass(eq=False)
class Source:
    """Sweeps and images of one origin; ``whole``: real sweeps as the sensor gave them, not cut to a range image."""

    name: str
    real: bool
    sweeps: list[MeasuredSweep] = field(default_factory=list)
    images: list[np.ndarray] = field(default_factory=list)
    whole: bool = True


@dataclass(frozen=True)
class Summary:
    """A statistic over the sweeps or images of a source: mean, and the 10 and 90 percent quantiles."""

    mean: float
    low: float
    high: float
    count: int


def real_sources(data: Path, beams: int) -> list[Source]:
    """The real frames in ``data`` of a 64-beam or a 32-beam LiDAR. Raises InputError when there are none."""
    if not data.is_dir():
        raise InputError(f'no folder {data}; give the folder of real frames (see docs/realism.md)')
    sources = [s for s in (_kitti(data) if beams == 64 else _nuscenes(data)) if s.sweeps]
    if not sources:
        raise InputError(f'{data} holds no real sweep of {beams} beams; give the folder of real frames')
    return sources


def _kitti(data: Path) -> Iterator[Source]:
    spec, names = hdl64(), SEMANTIC_KITTI.names
    labelled = Source('SemanticKITTI 00/000000', True)
    sweep = data / KITTI_SWEEP / '000000.bin'
    if sweep.is_file():
        cloud = read_cloud(sweep)
        label = SEMANTIC_KITTI.raw_to_train[read_label(sweep.with_suffix('.label'), len(cloud)) & 0xFFFF]
        labelled.sweeps.append(measured(cloud, spec, label, names))
    yield labelled
    clip = Source('KITTI clip', True)
    clip.sweeps = [measured(read_cloud(file), spec) for file in sorted((data / 'kitti_clip/velodyne').glob('*.bin'))]
    clip.images = [read_image(file) for file in sorted((data / 'kitti_clip' / 'image_02').glob('*.png'))]
    yield clip
    single = Source('KITTI 000000, 000008', True)  # the sweep of the second is cut to the camera's view
    if (data / 'kitti_000000' / 'velodyne.bin').is_file():
        single.sweeps.append(measured(read_cloud(data / 'kitti_000000' / 'velodyne.bin'), spec))
    pictures = [data / name / 'image_2.png' for name in ('kitti_000000', 'kitti_000008')]
    single.images = [read_image(file) for file in pictures if file.is_file()]
    yield single
    cut = Source('SemanticKITTI range images', True, whole=False)
    if (data / KITTI_IMAGES).is_file():
        cut.sweeps = [measured(c, spec, label, names) for c, label in range_image_sweeps(data / KITTI_IMAGES, 1.0)]
    yield cut


def _nuscenes(data: Path) -> Iterator[Source]:
    spec = hdl32()
    one = Source('nuScenes sample', True)
    folder = data / 'nuscenes_sample'
    if (folder / 'LIDAR_TOP.pcd.bin').is_file():
        one.sweeps.append(measured(_forwards(read_cloud(folder / 'LIDAR_TOP.pcd.bin')), spec))
        one.images = [read_image(file) for file in sorted(folder.glob('CAM_*.jpg'))]
    yield one
    cut = Source('nuScenes range images', True, whole=False)
    if (data / NUSCENES_IMAGES).is_file():
        none = COARSE_NAMES.index('none')
        cut.sweeps = [measured(_forwards(c), spec, np.where(label == none, 0, label + 1).astype(np.uint8), COARSE)
                      for c, label in range_image_sweeps(data / NUSCENES_IMAGES, 1 / 255)]
    yield cut


def _forwards(cloud: PointCloud) -> PointCloud:
    """nuScenes' LiDAR axes (x right, y forwards) to ours."""
    return face_forward(cloud, np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))


def synthetic_source(beams: int, split: str, worlds: int, processes: int = 2) -> Source:
    """A sweep and an image from each of the first ``worlds`` streets of a split."""
    source = Source(f'synthetic {split}', False)
    one = partial(_synthetic, beams, split)
    with ProcessPoolExecutor(processes, get_context('spawn')) as pool:
        for sweep, image in pool.map(one, range(worlds)):
            source.sweeps.append(sweep)
            source.images.append(image)
    return source


def _synthetic(beams: int, split: str, number: int) -> tuple[MeasuredSweep, np.ndarray]:
    """One sweep and one image; of the cameras all round each world takes the next."""
    if beams == 64:
        rig, table, names = kitti_rig(), None, SEMANTIC_KITTI.names
    else:
        every = nuscenes_rig()
        rig = SensorRig(every.lidar, (every.cameras[number % len(every.cameras)],))
        table, names = _coarse_table(), COARSE
    sweep = next(iter(record(FIRST_SEED[split] + number, SPLITS[split], rig, 1)))
    label = world_to_train('semantic_kitti')[sweep.point_class]
    if table is not None:
        label = table[label]
    return measured(sweep.frame.cloud, rig.lidar, label, names), sweep.frame.views[0].image


def _coarse_table() -> np.ndarray:
    none = COARSE_NAMES.index('none')
    known = np.not_equal(SEMANTIC_KITTI_TO_COARSE, none)
    return np.where(known, SEMANTIC_KITTI_TO_COARSE + 1, 0).astype(np.uint8)


def sweep_statistics(sweep: MeasuredSweep, beams: int, whole: bool) -> dict[str, float]:
    """Every statistic of one sweep; of one cut to a range image only those that the cutting leaves as they are."""
    result = {**intensity_quantiles(sweep), **intensity_by_class(sweep), **class_shares(sweep)}
    if whole or beams == 32:  # a range image of 32 rows has one for each beam, and as many columns as firings
        result = {**range_quantiles(sweep), **beam_shares(sweep, beams), **ground_share(sweep),
                  **occupied_neighbours(sweep), **result}
    if whole:
        result = {'points': float(len(sweep.xyz)), **drop_out(sweep, beams), **result}
    return result


def summarise(rows: Iterable[dict[str, float]]) -> dict[str, Summary]:
    """Statistics of many sweeps or images, by name; those that some lack are taken over the others."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: Summary(float(np.mean(v)), float(np.quantile(v, 0.1)), float(np.quantile(v, 0.9)), len(v))
            for name, v in columns.items()}


def lidar_summary(source: Source, spec: LidarSpec) -> dict[str, Summary]:
    """Statistics of the sweeps of a source."""
    beams = len(spec.elevation)
    return summarise(sweep_statistics(sweep, beams, source.whole) for sweep in source.sweeps)


def image_summary(source: Source) -> dict[str, Summary]:
    """Statistics of the images of a source."""
    return summarise(image_statistics(image) for image in source.images)
