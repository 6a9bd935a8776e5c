from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.range_view import FEATURES, make_range_view, range_image

SENSOR = SensorGeometry(beams=64, fov_up_deg=3, fov_down_deg=-25, fov_margin_deg=2, image_height=28, image_width=360,
                        min_range_m=1, max_range_m=80, sensor_height_m=1.7)
PLAIN = Normalisation(mean=dict.fromkeys(FEATURES, 0.0), std=dict.fromkeys(FEATURES, 1.0))


def polar(azimuth_deg: float, elevation_deg: float, distance: float = 10.0) -> list[float]:
    a, e = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return [distance * np.cos(e) * np.cos(a), distance * np.cos(e) * np.sin(a), distance * np.sin(e)]


def cloud(*points: list[float]) -> PointCloud:
    return PointCloud(np.array(points, np.float32).reshape(-1, 3), np.full(len(points), 0.5, np.float32))


@pytest.mark.parametrize(('azimuth', 'elevation', 'row', 'column'), [
    (-0.5, 2.5, 0, 180),  # just right of ahead, in the top degree
    (0.5, 2.5, 0, 179),
    (90.5, -3.5, 6, 89),  # left
    (-90.5, -24.5, 27, 270),  # right, bottom row
    (179.5, 0.5, 2, 0),  # behind, left of the seam
    (-179.5, 0.5, 2, 359),  # behind, right of the seam
])
def test_a_point_falls_into_the_frustum_of_its_direction(
        azimuth: float, elevation: float, row: int, column: int) -> None:
    view = make_range_view(cloud(polar(azimuth, elevation)), SENSOR, PLAIN)
    assert divmod(int(view.pixel[0]), 360) == (row, column)
    offsets = view.features[0, [FEATURES.index('row_offset'), FEATURES.index('column_offset')]]
    np.testing.assert_allclose(offsets, 0, atol=1e-3)  # all of these lie in the middle of a cell


def test_the_seam_behind_belongs_to_an_existing_column() -> None:
    view = make_range_view(cloud([-10, 0.0, 0], [-10, -0.0, 0], [-10, 1e-9, 0], [-10, -1e-9, 0]), SENSOR, PLAIN)
    columns = view.pixel % 360
    assert set(columns.tolist()) <= {0, 359}
    assert (view.pixel < SENSOR.pixels).all()


def test_points_that_are_not_finite_or_outside_the_geometry_drop_out() -> None:
    view = make_range_view(cloud(
        polar(10, 0), [np.nan, 1, 1], [np.inf, 1, 1], [1, -np.inf, 0], polar(0, 0, 0.5), polar(0, 0, 81), polar(0, 5.1),
        polar(0, -27.1), [0, 0, 0], [0, 0, 5], polar(20, 0),
    ), SENSOR, PLAIN)
    assert np.flatnonzero(view.valid).tolist() == [0, 10]
    assert len(view.features) == len(view.pixel) == 2
    assert np.isfinite(view.features).all()


def test_an_intensity_that_is_not_finite_makes_the_point_invalid() -> None:
    points = PointCloud(np.array([polar(0, 0), polar(1, 0)], np.float32), np.array([np.nan, 0.1], np.float32))
    assert make_range_view(points, SENSOR, PLAIN).valid.tolist() == [False, True]


def test_points_in_the_margin_count_to_the_first_and_last_row() -> None:
    view = make_range_view(cloud(polar(0, 4.5), polar(0, -26.5)), SENSOR, PLAIN)
    assert (view.pixel // 360).tolist() == [0, 27]
    row_offset = view.features[:, FEATURES.index('row_offset')]
    np.testing.assert_allclose(row_offset, [-0.5, 0.5])


def test_features_are_normalised_by_name() -> None:
    normalisation = Normalisation(mean={name: float(i) for i, name in enumerate(FEATURES)},
                                  std={name: float(i + 1) for i, name in enumerate(FEATURES)})
    points = cloud([3.0, 4.0, 0.0])
    plain = make_range_view(points, SENSOR, PLAIN).features[0]
    np.testing.assert_allclose(plain[:5], [3, 4, 0, 5, 0.5], atol=1e-5)
    scaled = make_range_view(points, SENSOR, normalisation).features[0]
    np.testing.assert_allclose(scaled, (plain - np.arange(7)) / np.arange(1, 8), atol=1e-5)


def test_an_empty_sweep_is_an_empty_view() -> None:
    view = make_range_view(cloud(), SENSOR, PLAIN)
    assert view.features.shape == (0, len(FEATURES))
    assert view.pixel.shape == (0,)


def test_any_direction_lands_inside_the_image() -> None:
    random = np.random.default_rng(1)
    xyz = (random.standard_normal((50_000, 3)) * [20, 20, 3]).astype(np.float32)
    view = make_range_view(PointCloud(xyz, random.random(50_000).astype(np.float32)), SENSOR, PLAIN)
    assert view.pixel.min() >= 0
    assert view.pixel.max() < SENSOR.pixels
    offsets = view.features[:, 5:]
    assert np.abs(offsets).max() <= 0.5 + 1e-3


def test_the_nearest_point_wins_a_cell_of_the_picture() -> None:
    pixel = np.array([5, 5, 5, 7])
    image = range_image(np.array([1, 2, 3, 4], np.uint8), pixel, np.array([9.0, 2.0, 5.0, 1.0]), SENSOR, fill=255)
    assert image.shape == (28, 360)
    assert image[0, 5] == 2
    assert image[0, 7] == 4
    assert (image == 255).sum() == SENSOR.pixels - 2
