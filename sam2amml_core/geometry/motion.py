"""How the vehicle moved: poses in a fixed frame by time, from odometry, and what lies between and just after them."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np

from sam2amml_core.geometry import twist as se3
from sam2amml_core.geometry.transforms import compose, invert


@dataclass(frozen=True, eq=False)
class StampedPose:
    """``T_fixed_body`` float64 [4, 4] at a time; ``twist`` float64 [6] of the body in its own frame, or None."""

    stamp_ns: int
    pose: np.ndarray
    twist: np.ndarray | None


class PoseBuffer:
    """The last poses of a body in a fixed frame (REP-105 ``odom``: continuous; never ``map``, which jumps).

    Between two poses the body moves with a constant twist. After the last it goes on with the twist that came with the
    pose, or that of the last two poses, for ``ahead_ns`` at most; across gaps over ``gap_ns`` nothing is said.
    """

    def __init__(self, capacity: int = 400, ahead_ns: int = 300_000_000, gap_ns: int = 1_000_000_000) -> None:
        self._capacity = capacity
        self._ahead_ns = ahead_ns
        self._gap_ns = gap_ns
        self._poses: list[StampedPose] = []

    def __len__(self) -> int:
        return len(self._poses)

    def add(self, stamp_ns: int, T_fixed_body: np.ndarray, twist: np.ndarray | None = None) -> None:
        """Add a pose; one of a stamp that is there replaces it; one far before the last begins again (time jumped)."""
        if self._poses and stamp_ns < self._poses[-1].stamp_ns - self._gap_ns:
            self._poses.clear()
        place = bisect_left(self._poses, stamp_ns, key=lambda p: p.stamp_ns)
        if place < len(self._poses) and self._poses[place].stamp_ns == stamp_ns:
            del self._poses[place]
        insort(self._poses, StampedPose(stamp_ns, np.asarray(T_fixed_body, np.float64), twist),
               key=lambda p: p.stamp_ns)
        del self._poses[:-self._capacity]

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """``T_fixed_body`` at a time, or None when it is not known."""
        place = bisect_left(self._poses, stamp_ns, key=lambda p: p.stamp_ns)
        if place == len(self._poses):
            return self._after_last(stamp_ns)
        after = self._poses[place]
        if after.stamp_ns == stamp_ns:
            return after.pose
        if place == 0:
            return None
        before = self._poses[place - 1]
        if after.stamp_ns - before.stamp_ns > self._gap_ns:
            return None
        share = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        return compose(before.pose, se3.exp(share * se3.log(compose(invert(before.pose), after.pose))))

    def relative(self, to_ns: int, from_ns: int) -> np.ndarray | None:
        """``T_body(to)_body(from)``: fixed points, seen from the body at one time, as it sees them at another; or None.
        """
        first, second = self.at(from_ns), self.at(to_ns)
        return None if first is None or second is None else compose(invert(second), first)

    def twist(self, start_ns: int, end_ns: int) -> np.ndarray | None:
        """The mean twist of the body between two times, float64 [6], m/s and rad/s in its own frame; or None."""
        moved = self.relative(start_ns, end_ns)
        return None if moved is None or end_ns <= start_ns else se3.log(moved) / ((end_ns - start_ns) * 1e-9)

    def _after_last(self, stamp_ns: int) -> np.ndarray | None:
        if not self._poses or stamp_ns - self._poses[-1].stamp_ns > self._ahead_ns:
            return None
        last = self._poses[-1]
        twist = last.twist
        if twist is None and len(self._poses) > 1:
            before = self._poses[-2]
            span = last.stamp_ns - before.stamp_ns
            if span <= self._gap_ns:
                twist = se3.log(compose(invert(before.pose), last.pose)) / (span * 1e-9)
        return None if twist is None else compose(last.pose, se3.exp(twist * ((stamp_ns - last.stamp_ns) * 1e-9)))


@dataclass(frozen=True, eq=False)
class MountedPoses:
    """The motion of a sensor fixed to the body of a PoseBuffer; ``T_body_sensor`` float64 [4, 4]."""

    body: PoseBuffer
    T_body_sensor: np.ndarray

    def relative(self, to_ns: int, from_ns: int) -> np.ndarray | None:
        """As ``PoseBuffer.relative``, of the sensor."""
        moved = self.body.relative(to_ns, from_ns)
        return None if moved is None else compose(invert(self.T_body_sensor), moved, self.T_body_sensor)

    def twist(self, start_ns: int, end_ns: int) -> np.ndarray | None:
        """As ``PoseBuffer.twist``, of the sensor."""
        found = self.body.twist(start_ns, end_ns)
        return None if found is None else se3.carried(found, invert(self.T_body_sensor))
