"""``/diagnostics``, from a thread of its own on a steady clock: it goes on when ROS time stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from sam2amml_ros.status import FULL, LIDAR_ONLY, Summary
from sam2amml_ros.sweep_input import CameraSync

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
SILENT_S = 1.0
"""Without a labelled sweep for this long the node reports an error."""

LATE_IN_A_ROW = 10
"""Sweeps over the limit, one after the other, from which on it is an error."""


class DiagnosticsTask:
    """Publishes what ``report`` returns every ``period_s`` until it is stopped."""

    def __init__(self, node: Node, report: Callable[[], list[DiagnosticStatus]], period_s: float) -> None:
        self._node = node
        self._report = report
        self._period_s = period_s
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name='diagnostics', daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self._node.destroy_publisher(self._publisher)

    def _run(self) -> None:
        while not self._end.wait(self._period_s):
            try:
                array = DiagnosticArray(status=self._report())
                array.header.stamp = self._node.get_clock().now().to_msg()
                self._publisher.publish(array)
            except Exception as error:  # whatever it is, diagnostics must go on
                if self._node.context.ok():
                    self._node.get_logger().error(f'diagnostics failed: {error}', throttle_duration_sec=10.0)


def status(name: str, level: bytes, message: str, hardware: str, values: Mapping[str, object]) -> DiagnosticStatus:
    """One entry; numbers with three decimals, None as 'unknown'."""
    pairs = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
    return DiagnosticStatus(name=name, level=level, message=message, hardware_id=hardware, values=pairs)


def synchronisation(node: str, hardware: str, state: str, counts: Mapping[str, int], cameras: Mapping[str, CameraSync],
                    summary: Summary) -> DiagnosticStatus:
    """Whether sweeps come, and with images of which cameras."""
    wanted = [name for name, camera in cameras.items() if camera.on]
    silent = summary.silent_s is None or summary.silent_s > SILENT_S
    missing = [name for name in wanted if name not in summary.fused]
    if state != 'active':
        level, message = OK, f'the node is {state}'
    elif silent:
        level, message = ERROR, 'no labelled sweep for over a second; check the topic ~/input/pointcloud and its QoS'
    elif wanted and summary.mode != FULL:
        level, message = WARN, f'{summary.mode}: no image of {", ".join(missing)} with the last sweep'
    else:
        level, message = OK, summary.mode if wanted else f'{LIDAR_ONLY}: no camera is used'
    values: dict[str, object] = {
        'state': state, 'mode': summary.mode, 'lidar/is_received': not silent, 'sweeps/in': counts.get('sweeps', 0),
        'sweeps/labelled': summary.labelled, 'sweeps/duplicate': counts.get('duplicate sweeps', 0),
        'sweeps/out_of_order': counts.get('sweeps out of order', 0), 'time_jumps': counts.get('jumps', 0)}
    for name, camera in cameras.items():
        values |= {f'{name}/is_on': camera.on, f'{name}/is_fused': name in summary.fused,
                   f'{name}/is_alive': camera.alive, f'{name}/age_ms': camera.age_ms,
                   f'{name}/timestamp_interval_ms': camera.skew_ms,
                   f'{name}/period_ms': camera.period_ms, f'{name}/frames': camera.counts['images'],
                   f'{name}/frames_fused': camera.counts['fused'], f'{name}/sweeps_missed': camera.counts['missed']}
    return status(f'{node}: synchronisation', level, message, hardware, values)


def processing(node: str, hardware: str, limit_ms: float, dropped: Mapping[str, int], new: int, summary: Summary
               ) -> DiagnosticStatus:
    """Times against the limit, and what was dropped and why; ``new``: sweeps dropped since the last report."""
    in_range = summary.last_ms is None or summary.last_ms <= limit_ms
    enduring = summary.late_in_a_row >= LATE_IN_A_ROW
    level = ERROR if enduring else OK if in_range and not new else WARN
    if not in_range:
        message = (f'the last sweep took {summary.last_ms:.0f} ms, over {limit_ms:g} ms; '
                   'give the engine more threads or use a smaller model')
    elif new:
        reason = summary.reasons.get('sweep', 'newer ones came first; use more threads or a smaller model')
        message = f'{new} sweeps were not labelled since the last report: {reason}'
    else:
        message = 'in time'
    values: dict[str, object] = {
        'is_processing_time_ms_in_expected_range': in_range, 'processing_time_ms': summary.last_ms,
        'processing_time_ms/median': summary.median_ms, 'processing_time_ms/p99': summary.p99_ms,
        'max_processing_ms': limit_ms, 'sweeps_over_limit_in_a_row': summary.late_in_a_row,
        **{f'dropped/{kind}': count for kind, count in dropped.items()},
        **{f'reason/{kind}': reason for kind, reason in summary.reasons.items()}}
    return status(f'{node}: processing', level, message, hardware, values)


def calibration(node: str, hardware: str, cameras: Iterable[tuple[str, str]], method: str) -> DiagnosticStatus:
    """``cameras``: name and what is wrong with its calibration ('' if nothing)."""
    found = dict(cameras)
    wrong = [text for text in found.values() if text]
    values: dict[str, object] = {name: text or 'ok' for name, text in found.items()}
    values['points_brought_to_images_by'] = method or 'not yet'
    return status(f'{node}: calibration', WARN if wrong else OK, '; '.join(wrong) or 'ok', hardware, values)


def _text(value: object) -> str:
    if value is None:
        return 'unknown'
    return f'{value:.3f}' if isinstance(value, float) else str(value)
