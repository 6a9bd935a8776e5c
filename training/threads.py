"""Threads that leave the cores to others."""

from __future__ import annotations

import os


def sleep_when_idle() -> None:
    """Idle OpenMP threads must not spin: beside other processes that makes a step up to 15 times slower.

    To be called before torch is imported, which reads this once.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('GOMP_SPINCOUNT', '0')
