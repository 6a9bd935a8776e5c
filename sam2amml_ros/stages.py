"""Names of the node's timings, as published under ``~/debug``."""

from __future__ import annotations

STAGES = ('sync_wait', 'decode', 'preprocess', 'inference', 'postprocess', 'encode', 'publish', 'total')
"""Stages of one sweep; each is published as ``~/debug/processing_time/<stage>_ms``. 'total' spans all but 'sync_wait',
the time for which the sweep waited for images."""


def stage_topic(stage: str) -> str:
    """Private topic name of a stage's time, std_msgs/Float64, milliseconds."""
    return f'~/debug/processing_time/{stage}_ms'


LATENCY_TOPIC = '~/debug/pipeline_latency_ms'
"""From the sweep's header stamp to its labels being published; only while the clocks make sense."""

DROPPED_TOPIC = '~/debug/dropped_sweeps'
"""std_msgs/UInt64, latched: sweeps that came faster than they could be labelled, or could not be read."""
