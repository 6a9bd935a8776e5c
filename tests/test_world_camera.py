"""What the synthetic cameras see, against the LiDAR, against each other, and against the laws of light."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.distortion import make_distortion
from sam2amml_core.geometry.projection import project
from training.world.bodies import Body
from training.world.camera import CameraLook, render
from training.world.classes import WORLD_ID
from training.world.image_statistics import image_statistics
from training.world.materials import Palette
from training.world.mesh import box, merge, quads
from training.world.record import record
from training.world.scene import Actor, Material, Scene, Texture
from training.world.sensors import SensorRig, hdl64, kitti_rig, nuscenes_rig
from training.world.settings import TEST
from training.world.sky import Weather
from training.world.sweep import PixelTruth, SyntheticSweep
from training.world.vehicles import car
from training.world.windows import paint_windows

LOOKING_ALONG_X = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
SUNNY = CameraLook(shot_noise=0.0, read_noise=0.0, weather=Weather(sun=0.8))


@pytest.fixture(scope='module')
def sweep() -> SyntheticSweep:
    rig = kitti_rig(cameras=2, columns=1024)
    return next(record(seed=5, settings=TEST, rig=rig, sweeps=20, indices=[8]))


def camera(width: int = 200, height: int = 100, focal: float = 120.0) -> Camera:
    K = np.array([[focal, 0, width / 2, 0], [0, focal, height / 2, 0], [0, 0, 1, 0]], float)
    return Camera('test', width, height, K, np.eye(4))


def pose(x: float, y: float, z: float) -> np.ndarray:
    T = LOOKING_ALONG_X.copy()
    T[:3, 3] = x, y, z
    return T


def yard(sun: tuple[float, float, float], actor: bool = False) -> Scene:
    """A gray plain with a box of 2 m at x = 12 (instance 7); standing, or moving along y at 4 m/s."""
    materials = [Material(WORLD_ID['road'], 0.4, (0.3, 0.3, 0.3)), Material(WORLD_ID['car'], 0.4, (0.6, 0.1, 0.1))]
    plain = box((-100, -100, -1), (100, 100, 0), 0)
    crate = box((11, -1, 0), (13, 1, 2), 1)
    towards = np.array(sun) / np.linalg.norm(sun)
    if not actor:
        instance = np.repeat([0, 7], [len(plain.faces), len(crate.faces)])
        return Scene(merge([plain, crate]), instance, materials, [], towards)

    def moved(t: float) -> np.ndarray:
        T = np.eye(4)
        T[1, 3] = 4 * t
        return T

    return Scene(plain, np.zeros(len(plain.faces), int), materials, [Actor(crate, 7, moved)], towards)


def take(scene: Scene, look: CameraLook = SUNNY, t: float = 0.0, view: Camera | None = None,
         T: np.ndarray | None = None, seed: int = 0) -> tuple[np.ndarray, PixelTruth]:
    return render(scene, view or camera(), pose(0, 0, 3) if T is None else T, t, np.random.default_rng(seed), look)


def _at_shutter(sweep: SyntheticSweep) -> np.ndarray:
    """Points float32 [N, 3] in the LiDAR frame at the middle of the sweep, when the images were taken."""
    cloud = sweep.frame.cloud
    assert cloud.time is not None
    share = (cloud.time / 0.1)[:, None].astype(float)
    points = np.column_stack([cloud.xyz, np.ones(len(cloud))])
    world = (1 - share) * (points @ sweep.T_world_lidar.T) + share * (points @ sweep.T_world_lidar_end.T)
    middle = (sweep.T_world_lidar + sweep.T_world_lidar_end) / 2
    return np.ascontiguousarray(np.linalg.solve(middle, world.T).T[:, :3], np.float32)


def _pixels_at_points(sweep: SyntheticSweep, view: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the points the camera sees, (row, column) of their pixels, and which lie away from silhouettes."""
    projected = project(_at_shutter(sweep), [v.camera for v in sweep.frame.views])[view]
    kept = sweep.point_visible[view][projected.index]
    column, row = projected.pixel[kept].T
    truth = sweep.pixels[view]
    height, width = truth.class_id.shape
    calm = (row > 1) & (row < height - 2) & (column > 1) & (column < width - 2)
    for dy in (-2, 0, 2):
        for dx in (-2, 0, 2):
            r, c = np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)
            calm &= truth.class_id[r, c] == truth.class_id[row, column]
            calm &= truth.instance_id[r, c] == truth.instance_id[row, column]
    return projected.index[kept], np.stack([row, column], 1), calm


def test_same_seed_gives_the_same_picture_in_another_process() -> None:
    code = ('import hashlib\nfrom training.world.record import record\nfrom training.world.sensors import *\n'
            'from training.world.settings import TEST\nrig = nuscenes_rig(1, (320, 180))\n'
            'for s in record(3, TEST, rig, 4, indices=[2]):\n'
            '    print(hashlib.sha256(s.frame.views[0].image.tobytes() + s.pixels[0].depth.tobytes()).hexdigest())')
    other = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()
    made = next(record(3, TEST, nuscenes_rig(1, (320, 180)), 4, indices=[2]))
    digest = hashlib.sha256(made.frame.views[0].image.tobytes() + made.pixels[0].depth.tobytes()).hexdigest()
    assert digest == other


def test_images_and_truth_have_the_promised_types_and_shapes(sweep: SyntheticSweep) -> None:
    for view, truth in zip(sweep.frame.views, sweep.pixels, strict=True):
        assert view.image.shape == (375, 1242, 3) and view.image.dtype == np.uint8
        assert truth.class_id.dtype == np.uint8 and truth.instance_id.dtype == np.uint16
        assert truth.depth.dtype == np.float32 and truth.depth.shape == truth.class_id.shape == (375, 1242)


def test_sky_has_class_zero_and_infinite_depth(sweep: SyntheticSweep) -> None:
    truth = sweep.pixels[0]
    sky = truth.class_id == 0
    assert 0.02 < sky.mean() < 0.7
    assert np.isinf(truth.depth[sky]).all() and np.isfinite(truth.depth[~sky]).all()
    assert (truth.depth[~sky] > 0).all() and not truth.instance_id[sky].any()


@pytest.mark.parametrize('view', [0, 1])
def test_pixels_agree_with_the_points_that_the_camera_sees(sweep: SyntheticSweep, view: int) -> None:
    index, pixel, calm = _pixels_at_points(sweep, view)
    index, (row, column) = index[calm], pixel[calm].T
    assert len(index) > 2000
    truth = sweep.pixels[view]
    same = truth.class_id[row, column] == sweep.point_class[index]
    assert same.mean() > 0.98
    solid = same & ~np.isin(sweep.point_class[index], [WORLD_ID['vegetation'], WORLD_ID['terrain']])
    depth = project(_at_shutter(sweep), [v.camera for v in sweep.frame.views]).depth[view][index]
    error = np.abs(truth.depth[row, column] - depth) / depth
    assert np.quantile(error[solid], 0.95) < 0.04
    assert np.median(error[solid]) < 0.01


def test_moving_objects_have_the_same_ids_in_points_and_pixels() -> None:
    scene = yard((0.1, 0.2, 1), actor=True)
    for t in (0.0, 0.5):
        _, truth = take(scene, t=t)
        column = int(100 - 120 * 4 * t / 11)
        assert truth.instance_id[60, column] == 7 and truth.class_id[60, column] == WORLD_ID['car']
        hits = scene.cast(np.array([[0, 0, 1.0]], np.float32), np.array([[0.99, 0.001, 0]], np.float32), t)
        assert hits.instance[0] == (7 if t == 0 else 0)


def test_recorded_objects_share_ids_between_points_and_pixels(sweep: SyntheticSweep) -> None:
    index, pixel, calm = _pixels_at_points(sweep, 0)
    known = sweep.point_instance[index] > 0
    row, column = pixel[calm & known].T
    assert len(row) > 100
    same = sweep.pixels[0].instance_id[row, column] == sweep.point_instance[index[calm & known]]
    assert same.mean() > 0.95


def test_two_cameras_see_the_disparity_of_their_baseline(sweep: SyntheticSweep) -> None:
    left, right = sweep.pixels
    row, column = np.mgrid[200:370:3, 300:1200:3].reshape(2, -1)
    depth = left.depth[row, column]
    shifted = column + 0.5 - 721.5 * 0.54 / depth
    inside = np.isfinite(depth) & (shifted > 1) & (depth < 40)
    row, depth, other = row[inside], depth[inside], np.floor(shifted[inside]).astype(int)
    assert len(row) > 3000
    unhidden = np.abs(right.depth[row, other] - depth) < 0.03 * depth
    assert unhidden.mean() > 0.9
    assert np.mean((right.class_id[row, other] == left.class_id[row, column[inside]])[unhidden]) > 0.98


def test_depth_is_that_of_the_ray_through_the_pixel_centre() -> None:
    _, truth = take(yard((0, 0, 1)))
    below = np.arange(60, 100)
    expected = 3 * 120 / (below + 0.5 - 50)  # camera 3 m above the plain
    assert np.allclose(truth.depth[60:, 5], expected, rtol=1e-4)
    assert abs(float(truth.depth[70, 100]) - 11) < 1e-3  # the box's front


def test_projection_with_an_offset_column_moves_the_centre() -> None:
    plain = camera()
    K = plain.projection.copy()
    K[:, 3] = K[:, :3] @ [-0.5, 0.0, 0.0]  # as if the camera stood 0.5 m to the right
    offset = dataclasses.replace(plain, projection=K)
    _, moved = take(yard((0, 0, 1)), view=offset)
    _, stood = take(yard((0, 0, 1)), T=pose(0, -0.5, 3))
    assert np.array_equal(moved.class_id, stood.class_id)
    assert np.allclose(moved.depth, stood.depth, rtol=1e-5)


def test_a_lens_bends_the_picture_as_projection_bends_points() -> None:
    lens = make_distortion('test', 'plumb_bob', np.array([-0.2, 0.05, 0, 0, 0]))
    bent = dataclasses.replace(camera(), distortion=lens)
    scene, T = yard((0, 0, 1)), pose(0, 0, 3)
    _, truth = take(scene, view=bent)
    world = np.array([[15.0, y, 0.0] for y in np.linspace(-8, 8, 30)], np.float32)  # on the plain
    local = ((world - T[:3, 3]) @ T[:3, :3]).astype(np.float32)
    seen = project(local, [bent])[0]
    column, row = seen.pixel.T
    ground = truth.class_id[row, column] == WORLD_ID['road']
    assert ground.sum() > 10
    assert np.allclose(truth.depth[row, column][ground], seen.depth[ground], rtol=0.06)


@pytest.mark.parametrize('side', [-1, 1])
def test_shadow_falls_away_from_the_sun(side: int) -> None:
    image, truth = take(yard((0, side, 1)))
    ground = truth.class_id == WORLD_ID['road']
    levels = []
    for y in (1.6, -1.6):
        u, v = int(100 - 120 * side * y / 12), int(50 + 120 * 3 / 12)
        assert ground[v, u]
        levels.append(float(image[v, u].mean()))
    sunny, shady = levels
    assert shady < 0.75 * sunny


def test_moving_things_cast_shadows_and_darken_the_ground_below() -> None:
    stood, _ = take(yard((0, 1, 1)))
    moving, truth = take(yard((0, 1, 1), actor=True))
    assert np.abs(stood.astype(int) - moving).mean() < 1.0
    assert truth.instance_id.max() == 7


def test_overcast_sky_casts_no_hard_shadow() -> None:
    look = dataclasses.replace(SUNNY, weather=Weather(sun=0.0, clouds=1.0))
    image, _ = take(yard((0, 1, 1)), look=look)
    v = int(50 + 120 * 3 / 12)
    left, right = (float(image[v, int(100 - 120 * y / 12)].mean()) for y in (2.2, -2.2))
    assert abs(left - right) < 0.12 * left


def test_longer_exposure_makes_a_brighter_picture() -> None:
    dark, _ = take(yard((0, 1, 1)), look=dataclasses.replace(SUNNY, exposure=0.6))
    bright, _ = take(yard((0, 1, 1)), look=dataclasses.replace(SUNNY, exposure=1.2))
    assert bright.mean() > 1.15 * dark.mean()


def test_noise_follows_the_given_generator_only() -> None:
    look = dataclasses.replace(SUNNY, shot_noise=0.01, read_noise=0.002)
    first, truth = take(yard((0, 1, 1)), look=look, seed=1)
    again, _ = take(yard((0, 1, 1)), look=look, seed=1)
    other, unchanged = take(yard((0, 1, 1)), look=look, seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(truth.depth, unchanged.depth)


def test_road_sidewalk_and_terrain_differ_to_the_eye() -> None:
    colors = {'road': (0.16, 0.16, 0.16), 'sidewalk': (0.36, 0.34, 0.31), 'terrain': (0.13, 0.2, 0.06)}
    textures = (Texture.ASPHALT, Texture.PAVING, Texture.GRASS)
    materials = [Material(WORLD_ID[n], 0.4, c, x) for (n, c), x in zip(colors.items(), textures, strict=True)]
    strips = [box((2, y, -1), (40, y + 4, 0), i) for i, y in enumerate((-6, -2, 2))]
    mesh = merge(strips)
    scene = Scene(mesh, np.zeros(len(mesh.faces), int), materials, [], np.array([0, 0.3, 1.0]) / np.hypot(0.3, 1))
    image, truth = take(scene, T=pose(0, 0, 4))
    medians = {n: np.median(image[truth.class_id == WORLD_ID[n]], 0) for n in colors}
    assert medians['sidewalk'].mean() > medians['road'].mean() + 25
    assert medians['terrain'][1] > medians['terrain'][2] + 20
    assert abs(medians['road'][1] - medians['road'][2]) < 20


def test_cameras_see_all_round_and_not_their_own_vehicle() -> None:
    rig = nuscenes_rig(6, (160, 90))
    made = next(record(4, TEST, SensorRig(hdl64(256), rig.cameras), 1))
    assert len(made.pixels) == 6
    for truth in made.pixels:
        assert (truth.class_id != 0).mean() > 0.2
        assert truth.depth.min() > 0.8


def test_textures_stick_to_what_moves() -> None:
    materials = [Material(WORLD_ID['truck'], 0.4, (0.5, 0.4, 0.3), Texture.WOOD)]
    crate = box((11, -3, 0), (13, 3, 4), 0)

    def moved(t: float) -> np.ndarray:
        T = np.eye(4)
        T[1, 3] = 11 / 120 * 20 * t  # twenty pixels to the left a second
        return T

    far = box((-100, -100, -2), (100, 100, -1), 0)
    scene = Scene(far, np.zeros(len(far.faces), int), materials, [Actor(crate, 1, moved)], np.array([-0.7, 0, 0.7]))
    look = dataclasses.replace(SUNNY, vignetting=0.0)
    before, _ = take(scene, look=look, T=pose(0, 0, 2))
    after, _ = take(scene, look=look, t=1.0, T=pose(0, 0, 2))
    patch = before[40:60, 90:120].astype(float)
    assert patch.std() > 2
    assert np.abs(after[40:60, 70:100] - patch).mean() < 0.2 * patch.std() + 1
    assert np.abs(after[40:60, 90:120] - patch).mean() > 0.5 * patch.std()


@pytest.mark.parametrize('down', [-1.0, 1.0])
def test_a_picture_of_nothing_but_sky_or_ground_is_a_picture(down: float) -> None:
    T = np.diag([1.0, down, down, 1.0])  # looking straight up, or straight down
    T[:3, 3] = 40, 0, 5
    image, truth = take(yard((0, 1, 1)), T=T)
    assert image.shape == (100, 200, 3)
    assert (truth.class_id == (0 if down > 0 else WORLD_ID['road'])).all()


def test_a_street_in_its_own_shade_is_a_picture() -> None:
    image, _ = take(yard((0, 0, -1)))
    assert image.std() > 0


def test_a_car_looks_the_same_wherever_it_is_parked() -> None:
    palette = Palette(np.random.default_rng(3))
    mesh, _ = car(np.random.default_rng(4), palette, 'sedan')
    rubber = np.array([m.texture is Texture.TYRE for m in palette.list])
    plain = box((-99, -99, -1), (99, 99, 0), palette.surface('road'))
    overcast = dataclasses.replace(SUNNY, vignetting=0.0, weather=Weather(sun=0.0, clouds=1.0, haze=0.0))
    view, from_car = camera(400, 200, 220), np.eye(4)
    from_car[:3, :3] = np.array([[-1, 0, 0], [0, 0, -1], [0, -1, 0]])  # from 4 m to its left
    from_car[:3, 3] = 0.5, 4.0, 1.2
    pictures = []
    for x, yaw in ((0.0, 0.0), (23.37, 1.1)):
        T = np.eye(4)
        T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        T[0, 3] = x
        placed = mesh.transformed(T)
        instance = np.repeat([0, 2], [len(plain.faces), len(placed.faces)])
        scene = Scene(merge([plain, placed]), instance, palette.list, [], np.array([0, 0, 1.0]),
                      {2: Body.of(mesh, rubber, T)})
        image, truth = take(scene, look=overcast, view=view, T=T @ from_car)
        pictures.append((image.astype(float), truth.instance_id == 2))
    (first, mask), (second, other) = pictures
    both = mask & other
    assert both.sum() > 5000 and (mask != other).mean() < 0.005
    rims = both & (np.abs(first - first.mean(2, keepdims=True)).max(2) < 30) & (first.mean(2) > 60)
    assert rims.any()
    difference = np.abs(first - second)[both]
    assert np.quantile(difference, 0.9) < 0.15 * first[both].std()


def test_panes_of_buildings_have_bars_that_are_no_glass() -> None:
    mesh = quads(np.array([[[0, 0, 0], [2.0, 0, 0], [2.0, 0, 1.5], [0, 0, 1.5]]]), 0)
    u, v = np.meshgrid(np.linspace(0.005, 1.995, 200), np.linspace(0.005, 1.495, 150))
    place = np.stack([u.ravel(), np.zeros(u.size), v.ravel()], 1).astype(np.float32)
    face = np.where(u.ravel() / 2 > v.ravel() / 1.5, 0, 1)  # below and above the diagonal
    albedo, pixel = np.full((u.size, 3), 0.05, np.float32), np.full(u.size, 0.002, np.float32)
    glass = paint_windows(albedo, mesh, face, place, pixel, np.full(u.size, 0.1, np.float32)).reshape(u.shape)
    assert glass[:, [0, 99, 100, 199]].max() == 0 and glass[[0, -1]].max() == 0  # rim, and the mullion in the middle
    assert glass[40, 50] == 1 and 0.6 < glass.mean() < 0.9
    assert albedo.reshape(150, 200, 3)[:, 0].min() > 0.6


def test_looks_that_make_no_picture_are_refused() -> None:
    looks: list[dict[str, Any]] = [{'exposure': 0.0}, {'gamma': -1.0}, {'blur': float('nan')}, {'read_noise': -0.1}]
    for wrong in looks:
        with pytest.raises(InputError, match=next(iter(wrong))):
            dataclasses.replace(CameraLook(), **wrong)


def test_a_projection_that_no_camera_has_is_refused() -> None:
    broken = dataclasses.replace(camera(), projection=np.zeros((3, 4)))
    with pytest.raises(InputError, match='projection'):
        take(yard((0, 1, 1)), view=broken)


def test_statistics_tell_a_flat_picture_from_a_street(sweep: SyntheticSweep) -> None:
    street = image_statistics(sweep.frame.views[0].image)
    flat = image_statistics(np.full((100, 200, 3), 90, np.uint8))
    assert flat['entropy'] == 0 and flat['gradient_q99'] == 0 and flat['noise'] == 0
    assert flat['luminance_q50'] == pytest.approx(90, abs=0.1)
    assert street['entropy'] > 6 and street['gradient_q99'] > 20 and street['band_slope'] > 0
    noisy = np.clip(90 + np.random.default_rng(0).normal(0, 5, (200, 200, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
    assert image_statistics(noisy)['noise'] == pytest.approx(5, rel=0.15)
    with pytest.raises(InputError, match='uint8'):
        image_statistics(np.zeros((4, 4, 3), np.float32))
