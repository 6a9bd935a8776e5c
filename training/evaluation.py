"""Scores of a predictor on a labelled split."""

from __future__ import annotations

from collections.abc import Iterator

from sam2amml_core.errors import InputError
from training.datasets.scans import ScanSet
from training.predictor import Predictor
from training.scoring.scoreboard import Scoreboard


def score_split(predictor: Predictor, data: ScanSet, limit: int | None = None) -> Iterator[Scoreboard]:
    """Score all sweeps, or ``limit`` of them evenly spread; yields the growing board after each.

    Points that a network cannot reach count with the class of their nearest neighbour; points in the images of any
    camera count as inside the view. Raises InputError for a split without labels, naming files that are corrupt.
    """
    board = Scoreboard(data.schema)
    step = max(1, len(data) // limit) if limit else 1
    for index in list(range(0, len(data), step))[:limit]:
        truth = data.truth(index)
        if truth is None:
            raise InputError(f'scan {data.scans[index].name} has no labels to score on; sam2amml predict writes '
                             'submissions for such splits')
        cloud = data.cloud(index)
        if len(truth.label) != len(cloud):
            raise InputError(f'scan {data.scans[index].name} has {len(truth.label)} labels for {len(cloud)} points')
        cameras = [view.camera for view in data.views(index, images=False)]
        board.add(cloud.xyz, predictor(cloud), truth.label, cameras)
        yield board
