"""What is in a data set and what is wrong with it, before hours of training find out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from sam2amml_core.errors import InputError
from training.datasets.scans import ScanSet

FEW_POINTS = 1000


@dataclass
class Report:
    """What was found in one split.

    counts    int64 [C + 1], labelled points by train id
    faults    one line per scan that cannot be used
    doubts    what may be meant, but seldom is
    """

    split: str
    scans: int
    scenes: int
    counts: np.ndarray
    looked_at: int = 0
    points: int = 0
    not_finite: int = 0
    unlabelled_scans: int = 0
    with_images: int = 0
    lowest: list[float] = field(default_factory=list)
    brightest: float = 0.0
    faults: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def check(data: ScanSet, split: str, limit: int | None = None) -> Iterator[Report]:
    """Look at ``limit`` scans, evenly spread, or at all; yields the growing report after each, the last one complete.
    """
    step = max(1, len(data) // limit) if limit else 1
    report = Report(split, len(data), len({scan.scene for scan in data.scans}), np.zeros(len(data.schema), np.int64))
    for index in list(range(0, len(data), step))[:limit]:
        _look_at(data, index, report)
        yield report
    report.doubts += _doubts(data, report)
    yield report


def _look_at(data: ScanSet, index: int, report: Report) -> None:
    report.looked_at += 1
    try:
        cloud = data.cloud(index)
        truth = data.truth(index)
        if truth is not None and len(truth.label) != len(cloud):
            raise InputError(f'scan {data.scans[index].name} has {len(truth.label)} labels for {len(cloud)} points')
        report.with_images += bool(data.views(index, images=False))
    except InputError as error:
        report.faults.append(str(error))
        return
    finite = np.isfinite(cloud.xyz).all(axis=1)
    report.points += len(cloud)
    report.not_finite += int((~finite).sum())
    report.lowest.append(float(np.percentile(cloud.xyz[finite, 2], 5)))
    report.brightest = max(report.brightest, float(np.nanmax(cloud.intensity)))
    if truth is None:
        report.unlabelled_scans += 1
    else:
        report.counts += np.bincount(truth.label, minlength=len(data.schema))


def _doubts(data: ScanSet, report: Report) -> Iterator[str]:
    used = report.looked_at - len(report.faults)
    if not used:
        return
    if report.points / used < FEW_POINTS:
        yield f'{report.points / used:.0f} points a sweep are few; are clouds of another layout read as this one?'
    if report.brightest == 0:
        yield 'every intensity is 0; a network trained so cannot use intensity'
    height = float(np.median(report.lowest))
    if not -4 < height < -0.5:
        yield (f'the ground seems to lie at z = {height:.1f} m; clouds are expected in the sensor frame, z up, metres, '
               'with the ground 1 to 3 m below')
    if report.unlabelled_scans == used:
        yield 'no sweep has labels: this split can be predicted, but neither trained nor scored'
        return
    missing = [data.schema.names[i] for i in np.flatnonzero(report.counts == 0) if i]
    if missing:
        yield f'no point of class {", ".join(missing)} in the sweeps looked at'
    total = max(int(report.counts.sum()), 1)
    if report.counts[0] / total > 0.5:
        yield f'{100 * report.counts[0] / total:.0f} % of the points are unlabeled; is the label map complete?'
