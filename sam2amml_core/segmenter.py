"""The segmenter: a frame in, a label for every point out."""

from __future__ import annotations

import logging
import os
from time import perf_counter

import numpy as np

from sam2amml_core.bundle import ModelBundle, SensorGeometry, load_bundle
from sam2amml_core.engines import Engine, create_engine
from sam2amml_core.frame import UNKNOWN, Frame, PointCloud, PointLabels
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.lidar.preparation import Prepared, prepare
from sam2amml_core.lidar.range_view import RangeView

logger = logging.getLogger(__name__)

FIT_CHECK_EVERY = 100
"""Sweeps between two checks that the sweeps come from the LiDAR the model was made for."""


class Segmenter:
    """Labels LiDAR sweeps with a network; not thread-safe, use one per thread."""

    def __init__(self, bundle: ModelBundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self._sweeps = 0
        self._warned: set[str] = set()

    @classmethod
    def open(cls, model: str | os.PathLike[str] = 'street64', engine: str = 'auto', threads: int = 2) -> Segmenter:
        """Load a bundle (a shipped name or a folder) and an engine for it.

        Raises ``BundleError`` or ``EngineError``.
        """
        bundle = load_bundle(model)
        return cls(bundle, create_engine(bundle, engine, threads))

    def segment(self, frame: Frame) -> PointLabels:
        """Label the N points of a sweep, in their order.

        Points that are not finite or lie outside the model's sensor geometry get ``UNKNOWN`` with probability 0.
        """
        cloud = frame.cloud
        start = perf_counter()
        view = prepare(self.bundle.input, cloud, self.bundle.sensor, self.bundle.normalisation)
        prepared = perf_counter()
        class_id, probability = self._infer(view)
        inferred = perf_counter()
        labels = np.full(len(cloud), UNKNOWN, np.uint8)
        scores = np.zeros(len(cloud), np.float32)
        labels[view.valid] = class_id
        scores[view.valid] = probability
        done = perf_counter()
        self._check_fit(cloud, view)
        stage_ms = {
            'preprocess': 1e3 * (prepared - start),
            'inference': 1e3 * (inferred - prepared),
            'postprocess': 1e3 * (done - inferred),
        }
        return PointLabels(labels, scores, stage_ms)

    def warm_up(self) -> None:
        """Label a made-up sweep of the model's LiDAR, so that the first real one is not slower than the others."""
        self.segment(Frame(flat_sweep(self.bundle.sensor)))
        self._sweeps = 0

    def _infer(self, view: Prepared) -> tuple[np.ndarray, np.ndarray]:
        if not view.valid.any():
            return np.zeros(0, np.uint8), np.zeros(0, np.float32)
        class_id, probability = self.engine.run(view.inputs, ('class_id', 'probability'))
        return class_id, probability

    def _check_fit(self, cloud: PointCloud, view: Prepared) -> None:
        if self._sweeps % FIT_CHECK_EVERY == 0:
            for topic, message in fit_warnings(cloud, view, self.bundle.sensor).items():
                if topic not in self._warned:
                    self._warned.add(topic)
                    logger.warning('model %s: %s', self.bundle.name, message)
        self._sweeps += 1


def fit_warnings(cloud: PointCloud, view: Prepared | RangeView, sensor: SensorGeometry) -> dict[str, str]:
    """What speaks against a sweep coming from the LiDAR a model was made for: topic -> sentence; empty if it fits."""
    found: dict[str, str] = {}
    finite = np.isfinite(cloud.xyz).all(axis=1)
    count = int(finite.sum())
    if count == 0:
        return {'empty': 'the sweep has no finite point'} if len(cloud) else found
    near = finite & (np.abs(cloud.xyz).max(axis=1, initial=0) < sensor.min_range_m)
    lost = 1 - int(np.count_nonzero(view.valid)) / max(1, count - int(near.sum()))
    if lost > 0.1:
        found['field of view'] = (
            f'{lost:.0%} of the points lie outside its field of view ({sensor.fov_down_deg:g} to '
            f'{sensor.fov_up_deg:g} degrees) or range ({sensor.max_range_m:g} m) and stay unknown; '
            'is the cloud in the sensor frame, and is it this kind of LiDAR?')
    brightest = float(np.nanmax(cloud.intensity)) if np.isfinite(cloud.intensity).any() else 0.0
    if brightest > 1.5:
        found['intensity'] = f'intensity reaches {brightest:g}, expected 0..1; scale it (often by 1/255)'
    if cloud.ring is not None and not 0.75 <= (int(cloud.ring.max()) + 1) / sensor.beams <= 1.34:
        found['beams'] = (f'the sweep has {int(cloud.ring.max()) + 1} beams, the model was made for {sensor.beams}; '
                          'choose a model for this LiDAR')
    ground = float(np.percentile(cloud.xyz[finite, 2], 10))
    if abs(ground + sensor.sensor_height_m) > 1.2:
        found['height'] = (f'the ground seems to lie {-ground:.1f} m below the sensor, expected '
                           f'{sensor.sensor_height_m:.1f} m; is z up and the cloud in the sensor frame?')
    return found
