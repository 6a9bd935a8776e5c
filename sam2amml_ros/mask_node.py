"""The mask node: images and point clouds in, masks of the images out, at its own rate and in its own process.

It shares no thread with the segmentation node, which takes the newest masks it finds and never waits for one.
Start it: ``python -m sam2amml_ros.mask_node --ros-args -p camera_names:="['front']" -p generator:=lidar``.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float64

from sam2amml_core.errors import InputError, Sam2AmmlError
from sam2amml_core.frame import PointCloud
from sam2amml_core.geometry.compensation import SweepTiming, compensate, sweep_times
from sam2amml_core.io.pointcloud2 import decode
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.viz.mask_overlay import mask_overlay
from sam2amml_ros.cameras import CameraInput, open_cameras, sensor_data
from sam2amml_ros.collector import CollectorSettings, Match
from sam2amml_ros.conversions import deserialize_cloud, image_message
from sam2amml_ros.drop_log import DropLog
from sam2amml_ros.lifecycle import ManagedNode
from sam2amml_ros.mask_messages import mask_message
from sam2amml_ros.mask_parameters import MaskParameters, declare, read
from sam2amml_ros.process import run_node
from sam2amml_ros.sweep_input import SweepInput
from sam2amml_ros.sync_policies import make_collector
from sam2amml_ros.transforms import Transforms
from sam2amml_ros.worker import LatestWorker

RELIABLE = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)


class MaskNode(ManagedNode):
    """Cuts the images that go with a sweep into masks, now and then, while it is active."""

    def __init__(self, **options: Any) -> None:
        super().__init__('mask_node', **options)
        declare(self)
        self._settings: MaskParameters | None = None
        self._maker: MaskGenerator | None = None
        self._cameras: tuple[CameraInput, ...] = ()
        self._input: SweepInput | None = None
        self._worker: LatestWorker[Match[bytes, bytes]] | None = None
        self._undo: list[Callable[[], object]] = []
        self._drops = DropLog(self.get_logger().warning)
        self._due = 0.0

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Check the parameters and load the weights. Raises Sam2AmmlError."""
        settings = read(self)
        if not settings.shared.camera_names:
            raise InputError('parameter camera_names is empty; name the cameras whose images are to be cut')
        _limit_threads(settings.shared.threads, settings.maker.generator == 'lidar')
        self._transforms = Transforms(settings.shared.fixed_frame)
        self._cameras = open_cameras(settings.shared, self._transforms)
        self._timing = SweepTiming(settings.shared.lidar_stamp, settings.shared.sweep_period_s)
        self._maker = settings.maker.make('semantic_kitti')
        self._settings = settings

    def activate(self) -> None:
        """Publish, subscribe and begin to work."""
        settings = self._settings
        if settings is None:
            raise InputError('the node is not configured')
        shared = settings.shared
        self._masks = {name: self.create_publisher(Image, f'~/output/{name}/masks', RELIABLE)
                       for name in shared.camera_names}
        self._overlays = {name: self.create_publisher(Image, f'~/debug/{name}/overlay', RELIABLE)
                          for name in shared.camera_names}
        self._time = self.create_publisher(Float64, '~/debug/processing_time_ms', RELIABLE)
        self._destroy([*self._masks.values(), *self._overlays.values(), self._time], self.destroy_publisher)
        offsets = shared.camera_offsets_ms or (0.0,)
        offsets = offsets * len(shared.camera_names) if len(offsets) == 1 else offsets
        collector = make_collector(
            'lidar_led', {name: round(1e6 * ms) for name, ms in zip(shared.camera_names, offsets, strict=True)},
            CollectorSettings(tolerance_ns=round(1e6 * shared.sync_tolerance_ms),
                              max_wait_ns=round(1e6 * shared.sync_max_wait_ms)))
        self._worker = LatestWorker(self._cut, self._failed)
        self._input = SweepInput(collector, self._matched, self._drops.add)
        self._undo += [self._worker.stop, self._input.stop]  # undone from the end: first no more input
        self._worker.start()
        self._input.start()
        cloud = self.create_subscription(PointCloud2, '~/input/pointcloud', self._input.add_sweep, sensor_data(),
                                         raw=True, qos_overriding_options=QoSOverridingOptions.with_default_policies())
        calibrated = tuple(camera.name for camera in self._cameras if not camera.is_fixed)
        made = [cloud, *self._transforms.subscribe(self, calibrated)]
        for camera in self._cameras:
            made += camera.subscribe(self, self._input.add_image)
        self._destroy(made, self.destroy_subscription)
        self.get_logger().info(f'ready: masks by {settings.maker.generator} of {", ".join(shared.camera_names)}, '
                               f'at most {settings.rate:g} times a second')

    def deactivate(self) -> None:
        """End the work; the image being cut is finished first."""
        while self._undo:
            self._undo.pop()()
        self._input = None

    def clean_up(self) -> None:
        """Give the memory of the weights back."""
        self._maker = self._settings = None
        self._cameras = ()

    def _destroy(self, entities: list[Any], destroy: Callable[[Any], object]) -> None:
        self._undo += [partial(destroy, entity) for entity in entities]

    # One sweep -------------------------------------------------------------------------------------------------------

    def _matched(self, match: Match[bytes, bytes]) -> None:
        """Take a sweep with images when the rate allows one."""
        settings, worker = self._settings, self._worker
        if settings is None or worker is None or not match.images or monotonic() < self._due:
            return
        self._due = monotonic() + 1 / settings.rate
        worker.put(match)

    def _cut(self, match: Match[bytes, bytes]) -> None:
        """All images of one sweep, in the worker thread."""
        settings, sweeps = self._settings, self._input
        if settings is None or sweeps is None:
            return
        start = perf_counter()
        try:
            cloud = decode(deserialize_cloud(match.payload), settings.shared.intensity_scale or 'auto')
        except Sam2AmmlError as error:
            self._drops.add('sweep', str(error))
            return
        sweeps.set_reference(sweep_times(cloud, self._timing).middle_ns - cloud.stamp_ns)
        for camera in self._cameras:
            if camera.name in match.images:
                try:
                    self._cut_image(camera, match, cloud)
                except Sam2AmmlError as error:
                    self._drops.add(f'image of {camera.name}', str(error))
        self._time.publish(Float64(data=1e3 * (perf_counter() - start)))

    def _cut_image(self, camera: CameraInput, match: Match[bytes, bytes], cloud: PointCloud) -> None:
        settings, maker = self._settings, self._maker
        if settings is None or maker is None:
            return
        view, header = camera.view(match.images[camera.name], cloud.frame_id)
        motion = self._transforms.motion(cloud.frame_id) if settings.shared.ego_motion else None
        moved = compensate(cloud, [view], motion, self._timing, settings.shared.deskew)
        masks = maker.generate(replace(view, camera=moved.cameras[0]), replace(cloud, xyz=moved.xyz))
        self._masks[camera.name].publish(mask_message(header, masks.id_map))
        if self._overlays[camera.name].get_subscription_count():
            self._overlays[camera.name].publish(image_message(header, mask_overlay(view.image, masks.id_map)))

    def _failed(self, error: Exception) -> None:
        """An error nobody foresaw costs one set of masks, not the node."""
        if self.context.ok():
            detail = ''.join(traceback.format_exception(error)).strip()
            self._drops.add('sweep', f'unexpected error, please report it: {detail}')


def _limit_threads(threads: int, sam2: bool) -> None:
    """Of OpenCV, and of torch where SAM2 is used: the LiDAR's network needs the others."""
    import cv2

    cv2.setNumThreads(threads)
    if sam2:
        with suppress(ImportError):  # loading SAM2 will say what is missing
            import torch

            torch.set_num_threads(threads)


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit status."""
    return run_node(lambda: MaskNode().start_if_wanted(), args)


if __name__ == '__main__':
    sys.exit(main())
