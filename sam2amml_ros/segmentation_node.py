"""The segmentation node: point clouds in, the same clouds with a class for every point out.

A lifecycle node that starts itself unless told not to. Callbacks only store what comes; a collector puts images to
sweeps and one worker thread labels the latest sweep, so that nothing ever queues up and no camera can silence the node.
Start it as a process: ``python -m sam2amml_ros.segmentation_node --ros-args -p model:=street64``.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import SetBool

from sam2amml_core.errors import InputError, Sam2AmmlError
from sam2amml_core.frame import CameraView, Frame, PointCloud
from sam2amml_core.geometry.compensation import SweepTiming, compensate, sweep_times
from sam2amml_core.io.pointcloud2 import decode
from sam2amml_core.segmenter import Segmenter
from sam2amml_ros import diagnostics
from sam2amml_ros.cameras import CameraInput, open_cameras, sensor_data
from sam2amml_ros.collector import CollectorSettings, Match
from sam2amml_ros.conversions import deserialize_cloud, labelled_message
from sam2amml_ros.drop_log import DropLog
from sam2amml_ros.label_info import publish_label_info
from sam2amml_ros.label_rules import class_mask, confident
from sam2amml_ros.lifecycle import ManagedNode
from sam2amml_ros.mask_input import MaskInput
from sam2amml_ros.outputs import Outputs
from sam2amml_ros.overlays import OverlayPublisher, publish_overlays
from sam2amml_ros.parameters import BY_NAME, NodeParameters, after_change, declare, read
from sam2amml_ros.process import resident_mb, run_node
from sam2amml_ros.rehearsal import rehearse
from sam2amml_ros.status import NodeStatus
from sam2amml_ros.sweep_input import SweepInput
from sam2amml_ros.sync_policies import make_collector
from sam2amml_ros.transforms import Transforms
from sam2amml_ros.worker import LatestWorker


class SegmentationNode(ManagedNode):
    """Labels every sweep of ``~/input/pointcloud`` while it is active."""

    def __init__(self, **options: Any) -> None:
        super().__init__('segmentation_node', **options)
        declare(self)
        self.add_on_set_parameters_callback(self._check_change)
        self.add_post_set_parameters_callback(self._apply_change)
        self.create_service(SetBool, '~/enable', self._enable)
        self._enabled = True
        self._segmenter: Segmenter | None = None
        self._settings: NodeParameters | None = None
        self._diagnostics: diagnostics.DiagnosticsTask | None = None
        self._input: SweepInput | None = None
        self._undo: list[Callable[[], object]] = []
        self._status = NodeStatus()
        self._drops = DropLog(self.get_logger().warning)
        self._worker: LatestWorker[Match[bytes, bytes]] | None = None
        self._cameras: tuple[CameraInput, ...] = ()
        self._lidar_frame = ''
        self._reported = 0

    @property
    def dropped(self) -> int:
        """Sweeps not labelled, for whatever reason."""
        return self._drops.counts['sweep'] + (self._worker.dropped if self._worker else 0)

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Check the parameters and load the model. Raises Sam2AmmlError."""
        settings = read(self)
        transforms = Transforms(settings.fixed_frame)
        self._cameras = open_cameras(settings, transforms)
        self._transforms = transforms
        make_collector(settings.sync_policy, dict.fromkeys(settings.camera_names, 0), CollectorSettings())
        segmenter = Segmenter.open(settings.model, settings.engine, settings.threads)
        self._left_out = class_mask(settings.filtered_classes, segmenter.bundle.schema.names)
        segmenter.warm_up()
        self._settings, self._segmenter = settings, segmenter
        self._timing = SweepTiming(settings.lidar_stamp, settings.sweep_period_s)
        self._diagnostics = diagnostics.DiagnosticsTask(self, self._report, settings.diagnostics_period_s)
        self._diagnostics.start()

    def activate(self) -> None:
        """Publish, subscribe and begin to work."""
        settings, segmenter = self._settings, self._segmenter
        if settings is None or segmenter is None:
            raise InputError('the node is not configured')
        self._status.reset()
        self._drops = DropLog(self.get_logger().warning)
        self._outputs = Outputs(self, segmenter.bundle.schema.colors, settings.camera_names)
        self._undo.append(self._outputs.close)
        self._destroy(publish_label_info(self, segmenter.bundle, settings.confidence_threshold), self.destroy_publisher)
        self._overlays = tuple(OverlayPublisher(self, camera, settings.overlay_rate) for camera in self._cameras)
        self._undo += [overlay.close for overlay in self._overlays]
        self._masks = MaskInput(self._cameras, self._transforms, self._timing, settings, self._drop)
        offsets = settings.camera_offsets_ms or (0.0,)
        offsets = offsets * len(settings.camera_names) if len(offsets) == 1 else offsets
        collector = make_collector(
            settings.sync_policy,
            {name: round(1e6 * ms) for name, ms in zip(settings.camera_names, offsets, strict=True)},
            CollectorSettings(tolerance_ns=round(1e6 * settings.sync_tolerance_ms),
                              max_wait_ns=round(1e6 * settings.sync_max_wait_ms)))
        self._worker = LatestWorker(self._label, self._failed)
        self._input = SweepInput(collector, self._worker.put, self._drop)
        self._input.switch_off(settings.cameras_off)
        self._undo += [self._stop_worker, self._input.stop]  # undone from the end: first no more input
        self._worker.start(partial(rehearse, segmenter))
        self._input.start()
        self._subscribe(self._input)
        self._outputs.publish_dropped(self.dropped)
        self.get_logger().info(
            f'ready: model {segmenter.bundle.name} in {segmenter.engine.name}, clouds from '
            f'{self.resolve_topic_name("~/input/pointcloud")}, cameras: {", ".join(settings.camera_names) or "none"}')

    def deactivate(self) -> None:
        """End the work; the sweep being labelled is finished first."""
        while self._undo:
            self._undo.pop()()
        self._input = None

    def clean_up(self) -> None:
        """Give the memory of the model back."""
        if self._diagnostics is not None:
            self._diagnostics.stop()
            self._diagnostics = None
        self._segmenter = None
        self._settings = None
        self._cameras = ()

    def _subscribe(self, sweeps: SweepInput) -> None:
        cloud = self.create_subscription(PointCloud2, '~/input/pointcloud', self._store_cloud, sensor_data(), raw=True,
                                         qos_overriding_options=QoSOverridingOptions.with_default_policies())
        calibrated = tuple(camera.name for camera in self._cameras if not camera.is_fixed)
        made = [cloud, *self._transforms.subscribe(self, calibrated), *self._masks.subscribe(self)]
        for camera in self._cameras:
            made += camera.subscribe(self, sweeps.add_image)
        self._destroy(made, self.destroy_subscription)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        jumps = self.get_clock().create_jump_callback(back, post_callback=lambda _: sweeps.forget())
        self._undo.append(jumps.unregister)

    def _destroy(self, entities: list[Any], destroy: Callable[[Any], object]) -> None:
        self._undo += [partial(destroy, entity) for entity in entities]

    def _stop_worker(self) -> None:
        if self._worker is not None and not self._worker.stop():
            self.get_logger().warning('the sweep being labelled did not end in time')

    # One sweep -------------------------------------------------------------------------------------------------------

    def _store_cloud(self, raw: bytes) -> None:
        if self._enabled and self._input is not None:
            self._input.add_sweep(raw)

    def _label(self, match: Match[bytes, bytes]) -> None:
        """One sweep through all stages, in the worker thread."""
        settings, segmenter, sweeps = self._settings, self._segmenter, self._input
        if settings is None or segmenter is None or sweeps is None:
            return
        start = perf_counter()
        try:
            message = deserialize_cloud(match.payload)
            cloud = decode(message, settings.intensity_scale or 'auto')
            sweeps.set_reference(sweep_times(cloud, self._timing).middle_ns - cloud.stamp_ns)
            decoded = perf_counter()
            labels = segmenter.segment(Frame(cloud))
        except Sam2AmmlError as error:
            self._drop('sweep', str(error))
            return
        self._lidar_frame = cloud.frame_id
        labels, source = self._masks.confirm(cloud, confident(labels, settings.confidence_threshold))
        inferred = perf_counter()
        labelled = labelled_message(message, labels, source)
        encoded = perf_counter()
        self._outputs.publish_labels(labelled)
        published = perf_counter()
        self._status.labelled(1e3 * (published - start), settings.max_processing_ms, frozenset(match.images),
                              len(settings.camera_names) - len(settings.cameras_off))
        self._outputs.publish_times({
            'sync_wait': 1e-6 * match.waited_ns, 'decode': 1e3 * (decoded - start), **labels.stage_ms,
            'encode': 1e3 * (encoded - inferred), 'publish': 1e3 * (published - encoded),
            'total': 1e3 * (published - start)}, cloud.stamp_ns)
        self._outputs.publish_skews(match)
        self._outputs.publish_dropped(self.dropped)
        self._outputs.publish_visualization(message, cloud, labels)
        self._outputs.publish_filtered(message, labels, self._left_out)
        publish_overlays(self._overlays, match, cloud, labels, self._outputs.colors, self._compensated, self._drop)

    def _compensated(self, cloud: PointCloud, view: CameraView) -> tuple[PointCloud, CameraView]:
        """Points and camera as if both had been at one time."""
        settings = self._settings
        motion = self._transforms.motion(cloud.frame_id) if settings is not None and settings.ego_motion else None
        result = compensate(cloud, [view], motion, self._timing, settings is not None and settings.deskew)
        self._status.projected(result.methods[0] + (' and deskew' if result.deskewed else ''))
        return replace(cloud, xyz=result.xyz), replace(view, camera=result.cameras[0])

    def _drop(self, kind: str, reason: str) -> None:
        self._drops.add(kind, reason)
        self._status.dropped(kind, reason)
        if kind == 'sweep':
            self._outputs.publish_dropped(self.dropped)

    def _failed(self, error: Exception) -> None:
        """An error nobody foresaw costs one sweep, not the node."""
        if not self.context.ok():
            return  # shut down while publishing
        detail = ''.join(traceback.format_exception(error)).strip()
        self._drop('sweep', f'unexpected error, please report it: {detail}')

    # Parameters, services, diagnostics -------------------------------------------------------------------------------

    def _check_change(self, changes: list[Any]) -> SetParametersResult:
        """Refuse what is not allowed, or not now, with the reason."""
        try:
            settings = after_change(self, {change.name: change.value for change in changes}, self.state)
            if settings is not None and self._segmenter is not None:
                class_mask(settings.filtered_classes, self._segmenter.bundle.schema.names)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_change(self, changes: list[Any]) -> None:
        if self._segmenter is None or not any(change.name in BY_NAME for change in changes):
            return
        settings = read(self)
        self._settings = settings
        self._left_out = class_mask(settings.filtered_classes, self._segmenter.bundle.schema.names)
        if self._input is not None:
            self._input.switch_off(settings.cameras_off)
            for overlay in self._overlays:
                overlay.rate = settings.overlay_rate

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = bool(request.data)
        response.success = True
        response.message = f'{"labelling" if self._enabled else "ignoring"} sweeps; the node is {self.state}'
        return response

    def _report(self) -> list[DiagnosticStatus]:
        settings, segmenter, sweeps = self._settings, self._segmenter, self._input
        if settings is None or segmenter is None:
            return []
        name, model, summary = self.get_name(), segmenter.bundle.name, self._status.summary()
        counts, cameras = sweeps.status() if sweeps is not None else ({}, {})
        state = self.state if self._enabled else f'{self.state}, disabled'
        problems = []
        for camera in self._cameras:
            try:
                camera.camera(self._lidar_frame)
                problems.append((camera.name, ''))
            except InputError as error:
                problems.append((camera.name, str(error)))
        new, self._reported = max(0, self.dropped - self._reported), self.dropped
        dropped = {**self._drops.counts, 'too_slow': self._worker.dropped if self._worker else 0}
        return [
            diagnostics.synchronisation(name, model, state, counts, cameras, summary),
            diagnostics.processing(name, model, settings.max_processing_ms, dropped, new, summary),
            diagnostics.calibration(name, model, problems if self._lidar_frame else [], summary.fused_by),
            diagnostics.status(f'{name}: engine', diagnostics.OK, segmenter.engine.name, model, {
                'model': str(segmenter.bundle.path), 'engine': segmenter.engine.name, 'why': segmenter.engine.reason,
                'resident_memory_mb': resident_mb()})]


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit status."""
    return run_node(lambda: SegmentationNode().start_if_wanted(), args)


if __name__ == '__main__':
    sys.exit(main())
