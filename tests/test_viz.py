"""Pictures: every point where it belongs, in its colour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView
from sam2amml_core.viz import bird_eye, labelled_view, overlay, palette, write_gif, write_video
from sam2amml_core.viz.palette import UNKNOWN_COLOR

RED, GREEN, BLUE = (np.array(c, np.uint8) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


def test_from_above_x_points_up_and_y_to_the_left() -> None:
    xyz = np.array([[40, 0, 0], [0, 40, 0], [-40, -40, 0]], np.float32)
    image = bird_eye(xyz, np.stack((RED, GREEN, BLUE)), reach_m=50, size=100, dot=1)
    assert image.shape == (100, 100, 3)
    found = {name: np.argwhere((image == c).all(axis=2)).tolist() for name, c in
             (('ahead', RED), ('left', GREEN), ('behind right', BLUE))}
    assert found == {'ahead': [[10, 50]], 'left': [[50, 10]], 'behind right': [[90, 90]]}


def test_higher_points_lie_over_lower_ones_whatever_their_order() -> None:
    xyz = np.array([[5, 5, 2], [5, 5, -1], [5, 5, 1]], np.float32)
    image = bird_eye(xyz, np.stack((RED, GREEN, BLUE)))
    assert (image == RED).all(axis=2).sum() == 4
    assert not (image == BLUE).all(axis=2).any()


def test_points_that_are_nowhere_or_far_away_are_left_out() -> None:
    xyz = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, np.nan], [51, 0, 0], [1e30, 0, 0]], np.float32)
    colors = np.tile(RED, (5, 1))
    assert not (bird_eye(xyz, colors) == RED).all(axis=2).any()
    assert bird_eye(xyz[:0], colors[:0]).shape == (900, 900, 3)


def test_an_overlay_colours_the_pixels_of_its_points_and_leaves_the_image_alone() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    uv = np.array([[10.9, 20.1], [59.5, 39.5], [-1e9, 5], [np.nan, 5], [200, 5]], np.float32)
    drawn = overlay(image, uv, np.stack((RED, GREEN, BLUE, BLUE, BLUE)), dot=3)
    assert (image == 100).all()
    red = {tuple(place) for place in np.argwhere((drawn == RED).all(axis=2))}
    assert red == {(y, x) for y in (19, 20, 21) for x in (9, 10, 11)}
    assert (drawn == GREEN).all(axis=2).sum() == 4, 'cut off at the corner'
    assert not (drawn == BLUE).all(axis=2).any()
    assert (drawn != 100).any(axis=2).sum() == 13


def pictures() -> list[np.ndarray]:
    return [np.full((48, 64, 3), (40 * i, 200, 60), np.uint8) for i in range(5)]


def test_gif_and_video_hold_the_pictures_in_order(tmp_path: Path) -> None:
    write_gif(tmp_path / 'new' / 'x.gif', pictures(), 5)
    ok, animation = cv2.imreadanimation(str(tmp_path / 'new' / 'x.gif'))
    assert ok and list(animation.durations) == [200] * 5
    write_video(tmp_path / 'x.mp4', pictures(), 10)
    video = cv2.VideoCapture(str(tmp_path / 'x.mp4'))
    read = [video.read()[1] for _ in range(5)]
    for frames in (list(animation.frames), read):
        for found, sent in zip(frames, pictures(), strict=True):
            assert np.abs(found[..., 2::-1].mean(axis=(0, 1)) - sent.mean(axis=(0, 1))).max() < 8


@pytest.mark.parametrize('write', [write_gif, write_video])
def test_pictures_that_cannot_be_written_are_refused_with_a_reason(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(InputError, match='no pictures'):
        write(tmp_path / 'x', [], 5)
    with pytest.raises(InputError, match=r'\(48, 60, 3\)'):
        write(tmp_path / 'x', [*pictures(), np.zeros((48, 60, 3), np.uint8)], 5)
    with pytest.raises(InputError, match='fps is 0'):
        write(tmp_path / 'x', pictures(), 0)
    with pytest.raises(InputError, match='cannot write'):
        write(Path('/proc/nowhere/x.mp4'), pictures(), 5)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match='do not fit'):
        bird_eye(np.zeros((3, 3), np.float32), np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match='do not fit'):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((3, 2), np.float32), np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match='picture is'):
        overlay(np.zeros((4, 4), np.uint8), np.zeros((1, 2), np.float32), np.zeros((1, 3), np.uint8))


def test_every_id_has_a_colour_and_ids_that_are_no_class_are_grey() -> None:
    colors = np.array([[0, 0, 0], [1, 2, 3], [4, 5, 6]], np.uint8)
    table = palette(colors)
    assert table.shape == (256, 3)
    assert table[1].tolist() == [1, 2, 3]
    assert table[2].tolist() == [4, 5, 6]
    assert (table[[0, 3, 255]] == UNKNOWN_COLOR).all()


def test_a_labelled_view_shows_the_points_before_the_camera_and_not_those_a_wall_hides() -> None:
    camera = Camera('front', 100, 80, np.array([[50, 0, 50, 0], [0, 50, 40, 0], [0, 0, 1, 0]], np.float64),
                    np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64))
    view = CameraView(camera, np.zeros((80, 100, 3), np.uint8), 0)
    across, up = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    wall = np.stack((np.full(3600, 5.0), across, up), axis=1)
    far = np.array([[20.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])
    colors = np.concatenate((np.full((3600, 3), (0, 200, 0)), np.full((2, 3), (200, 0, 0)))).astype(np.uint8)
    drawn = labelled_view(view, np.concatenate((wall, far)).astype(np.float32), colors)
    assert drawn[40, 50].tolist() == [0, 200, 0]
    assert not (drawn[..., 0] == 200).any()
    alone = labelled_view(view, far.astype(np.float32), colors[-2:])
    assert (alone[..., 0] == 200).any()
