"""The synthetic world says the truth: about who stands where, who moves, and what can be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [dev])')

from sam2amml_core.frame import Camera
from training.sweep_writer import FIRST_SEED
from training.world.classes import WORLD_ID
from training.world.compensation import pose_at, world_points
from training.world.materials import Palette
from training.world.mesh import Mesh
from training.world.objects import WorldObject
from training.world.parallel import record_parallel
from training.world.record import record, street_of
from training.world.scene import Scene
from training.world.sensors import SensorRig, hdl64, kitti_rig
from training.world.settings import SPLITS, TEST
from training.world.street import Street, build_street
from training.world.sweep import SyntheticSweep

PERIOD = 0.1
SEED = FIRST_SEED['test'] + 3
GROUND = [WORLD_ID[n] for n in ('road', 'lane-marking', 'parking', 'sidewalk', 'other-ground', 'terrain')]
LEAVES = WORLD_ID['vegetation']
GRID = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 9)] * 3, indexing='ij'), -1).reshape(-1, 3)


def small(camera: Camera, scale: float = 0.25) -> Camera:
    """Fewer pixels."""
    size = round(camera.width * scale), round(camera.height * scale)
    return replace(camera, width=size[0], height=size[1], projection=np.diag([scale, scale, 1]) @ camera.projection)


RIG = SensorRig(hdl64(512), (small(kitti_rig(1).cameras[0]),))


@pytest.fixture(scope='module')
def drive() -> tuple[list[SyntheticSweep], Street]:
    """Five sweeps, each with an image, and the street they were taken in."""
    return list(record(SEED, TEST, RIG, 5)), street_of(SEED, TEST, RIG, 5)


@pytest.fixture(scope='module', params=[('test', 3), ('train', 1), ('validation', 2)], ids=lambda p: p[0])
def street(request: pytest.FixtureRequest) -> Street:
    """A street of each split, for ten seconds of driving."""
    split, number = request.param
    return build_street(FIRST_SEED[split] + number, SPLITS[split], 10.0)


def same(a: SyntheticSweep, b: SyntheticSweep) -> bool:
    """Whether all that two sweeps measured, and the classes and poses, agree to the last bit."""
    def parts(sweep: SyntheticSweep) -> list[np.ndarray]:
        cloud = sweep.frame.cloud
        return [cloud.xyz, cloud.intensity, np.asarray(cloud.time), np.asarray(cloud.ring), sweep.point_class,
                sweep.point_instance, sweep.T_world_lidar, sweep.T_world_lidar_end,
                *(v.image for v in sweep.frame.views)]

    one, other = parts(a), parts(b)
    return len(one) == len(other) and all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def part(street: Street, kept: np.ndarray) -> Scene:
    """The static triangles ``kept`` [F] alone."""
    mesh, scene = street.scene.static_mesh, street.scene
    used, faces = np.unique(mesh.faces[kept], return_inverse=True)
    reduced = Mesh(mesh.vertices[used], faces.reshape(-1, 3).astype(np.int32), mesh.material[kept])
    return Scene(reduced, scene.static_instance[kept], scene.materials, [], scene.sun_direction)


def face_class(street: Street) -> np.ndarray:
    """World class of every static triangle."""
    return np.array([m.class_id for m in street.scene.materials])[street.scene.static_mesh.material]


def cast(scene: Scene, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Distance to what rays [R, 3] meet at t = 0."""
    d = np.broadcast_to(direction, start.shape)
    return scene.cast(np.ascontiguousarray(start, np.float32), np.ascontiguousarray(d, np.float32), 0.0).distance


def test_the_same_arguments_give_the_same_bytes_also_in_several_processes(drive: tuple[list[SyntheticSweep], Street]
                                                                         ) -> None:
    sweeps, _ = drive
    assert all(same(a, b) for a, b in zip(sweeps[1:3], record(SEED, TEST, RIG, 5, indices=(1, 2)), strict=True))
    for i, sweep in enumerate(record_parallel(SEED, TEST, RIG, 5, processes=2, images_every=2)):
        assert len(sweep.frame.views) == (1 if i % 2 == 0 else 0)
        assert same(sweep, sweeps[i] if i % 2 == 0 else replace(sweeps[i], frame=replace(sweeps[i].frame, views=())))
    assert not same(sweeps[0], sweeps[1])


def test_splits_differ_in_seeds_and_in_settings() -> None:
    seeds = sorted(FIRST_SEED.values())
    assert set(FIRST_SEED) == set(SPLITS) and min(np.diff(seeds)) >= 100_000
    settings = list(SPLITS.values())
    assert all(a != b for i, a in enumerate(settings) for b in settings[:i])


def test_objects_stand_on_the_ground(street: Street) -> None:
    palette = Palette(np.random.default_rng(0))
    mesh = street.ground.mesh(palette)
    ground = Scene(mesh, np.zeros(len(mesh.faces), int), palette.list, [], street.scene.sun_direction)
    moving = {a.instance: a.traced.mesh.vertices for a in street.scene.actors}
    static = street.scene.static_mesh
    gaps = []
    for thing in street.objects:
        for t in (0.0, 3.7, 9.0) if thing.moving else (0.0,):
            if thing.moving:
                T = thing.pose(t)
                vertices = moving[thing.instance] @ T[:3, :3].T + T[:3, 3]
            else:
                vertices = static.vertices[np.unique(static.faces[street.scene.static_instance == thing.instance])]
            below = 60 - cast(ground, np.c_[vertices[:, :2], np.full(len(vertices), 60)], np.array([0, 0, -1]))
            if np.isfinite(below).all():  # oncoming vehicles begin beyond the end of the street
                gaps.append(float((vertices[:, 2] - below).min()))
    assert len(gaps) > 20
    assert max(gaps) < 0.03  # nobody floats
    assert np.mean(np.abs(gaps) < 0.05) > 0.95 and min(gaps) > -0.25  # some have a foot in the kerb


def overlaps(one: WorldObject, other: WorldObject, t: float) -> bool:
    """Whether the boxes of two things, less 5 cm on every side, share any room at ``t``."""
    T = one.box(t)
    return bool(other.contains((GRID * (one.size - 0.1)) @ T[:3, :3].T + T[:3, 3], t, -0.05).any())


def pierced(scene: Scene, T_world_box: np.ndarray, size: np.ndarray) -> bool:
    """Whether a ray between opposite faces of a box, less a little and what is near the floor, meets a triangle."""
    for axis in range(3):
        start = GRID * size * 0.9
        start = start[GRID[:, axis] == -0.5]
        start[:, 2] = np.maximum(start[:, 2], 0.25 - size[2] / 2)
        direction = np.eye(3)[axis] @ T_world_box[:3, :3].T
        reach = 0.9 * size[axis] if axis < 2 else 0.45 * size[2] - start[:, 2]
        if (cast(scene, start @ T_world_box[:3, :3].T + T_world_box[:3, 3], direction) < reach).any():
            return True
    return False


@pytest.mark.parametrize('t', [0.0, 4.0, 8.0])
def test_vehicles_and_people_are_never_inside_one_another(street: Street, t: float) -> None:
    boxes = {o.instance: o.box(t)[:3, 3] for o in street.objects}
    close = [(a, b) for a in street.objects for b in street.objects if a is not b and
             np.linalg.norm(boxes[a.instance] - boxes[b.instance]) < np.linalg.norm(a.size + b.size) / 2]
    assert not [(a.class_id, b.class_id) for a, b in close if overlaps(a, b, t)]
    one = street.objects[0]
    T = one.pose(t).copy()
    T[:3, 3] += 0.3
    assert overlaps(one, replace(one, instance=999, pose=lambda _: T), t)  # the check can fail
    T_ego = street.ego.pose(t)
    ego = WorldObject(1000, one.class_id, np.array([0, 0, 0.8]), np.array([4.3, 1.8, 1.5]), lambda _: T_ego)
    assert not [o.class_id for o in street.objects if overlaps(ego, o, t) or overlaps(o, ego, t)]


def test_nothing_solid_goes_through_vehicles_and_people(street: Street) -> None:
    kind = face_class(street)
    solid = part(street, (street.scene.static_instance == 0) & ~np.isin(kind, [*GROUND, LEAVES]))
    for t in (0.0, 4.0, 8.0):
        things = [o for o in street.objects if o.moving or t == 0]
        assert not [o.class_id for o in things if pierced(solid, o.box(t), o.size)]
    poles = street.scene.static_mesh.faces[kind == WORLD_ID['pole']]
    at = street.scene.static_mesh.vertices[poles[0]].mean(0)
    T = np.eye(4)
    T[:3, 3] = [at[0] + 0.3, at[1], at[2]]
    assert pierced(solid, T, np.array([4.0, 1.8, 1.5]))  # a car parked into a pole would be noticed


def test_nothing_stands_inside_a_building(street: Street) -> None:
    kind = face_class(street)
    building = part(street, kind == WORLD_ID['building'])
    mesh = street.scene.static_mesh

    def inside(points: np.ndarray) -> np.ndarray:
        """Walls on all four sides and something above."""
        around = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]])
        return np.all([cast(building, points, d) < 25 for d in around], axis=0)

    for name in ('pole', 'traffic-sign', 'trunk', 'fence', 'other-object', 'car', 'person', 'vegetation'):
        centers = mesh.vertices[mesh.faces[kind == WORLD_ID[name]]].mean(1)
        assert not inside(centers[:: max(1, len(centers) // 4000)]).any(), name
    seen = np.array([street.ego.pose(t)[:3, 3] + [0, 0, 2.0] for t in np.linspace(0, 10, 60)])
    side = street.ego.pose(0)[:3, 1]
    distance = cast(building, seen, side)
    near = distance < 40
    behind = seen[near] + (distance[near, None] + 2.0) * side
    assert near.sum() > 3 and inside(behind).mean() > 0.5  # two metres behind a wall is inside


def test_points_lie_on_the_static_world_once_the_sensor_s_motion_is_undone(drive: tuple[list[SyntheticSweep], Street]
                                                                          ) -> None:
    sweeps, street = drive
    for sweep in sweeps[::2]:
        time = sweep.frame.cloud.time
        assert time is not None and 0 <= time.min() < 0.01 and 0.09 < time.max() < PERIOD
        actors = [a.instance for a in street.scene.actors]
        solid = ~np.isin(sweep.point_instance, actors) & ~np.isin(sweep.point_class, [LEAVES, WORLD_ID['terrain']])

        def off(world: np.ndarray, sensor: np.ndarray, kept: np.ndarray = solid) -> np.ndarray:
            to = world[kept] - sensor
            distance = np.linalg.norm(to, axis=1)
            to, distance = to[distance > 8], distance[distance > 8]
            start = sensor + to * (1 - 4 / distance[:, None])
            return np.abs(street.scene.cast(np.ascontiguousarray(start, np.float32),
                                            (to / distance[:, None]).astype(np.float32), 0.0).distance - 4)

        middle = pose_at(sweep, 0.5)
        right = off(world_points(sweep, PERIOD), middle[:3, 3])
        assert np.mean(right < 0.15) > 0.9
        xyz = sweep.frame.cloud.xyz.astype(np.float64)
        T = sweep.T_world_lidar
        wrong = off(xyz @ T[:3, :3].T + T[:3, 3], T[:3, 3])  # as if measured all at once
        assert np.quantile(wrong, 0.75) > 3 * np.quantile(right, 0.75)


def test_what_moves_moves_by_its_velocity_and_holds_its_points(drive: tuple[list[SyntheticSweep], Street]) -> None:
    sweeps, street = drive
    movers = [o for o in street.objects if o.moving]
    for thing in movers:
        step = thing.pose(0.4)[:3, 3] - thing.pose(0.0)[:3, 3]
        assert np.linalg.norm(step) == pytest.approx(0.4 * thing.speed, rel=0.05)
    inside, frozen, count = 0, 0, 0
    for index, sweep in enumerate(sweeps):
        world, time = world_points(sweep, PERIOD), sweep.frame.cloud.time
        assert time is not None
        for thing in movers:
            rows = np.flatnonzero(sweep.point_instance == thing.instance)
            if len(rows) < 5 or thing.speed < 4:
                continue
            assert set(sweep.point_class[rows]) == {thing.class_id}
            t = index * PERIOD + float(time[rows].mean())
            inside += int(thing.contains(world[rows], t, 0.1).sum())
            frozen += int(thing.contains(world[rows], 0.0, 0.1).sum()) if index == 4 else 0
            count += len(rows)
    assert count > 100 and inside > 0.98 * count
    assert frozen < 0.3 * count  # and not where they were at first


def hit_distance(triangles: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> float:
    """Distance to the nearest of triangles [F, 3, 3] along a ray (Moeller and Trumbore, 1997), without any library."""
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(direction, ac)
    determinant = np.einsum('ij,ij->i', ab, across)
    with np.errstate(divide='ignore', invalid='ignore'):
        to = origin - a
        u = np.einsum('ij,ij->i', to, across) / determinant
        q = np.cross(to, ab)
        v = q @ direction / determinant
        distance = np.einsum('ij,ij->i', ac, q) / determinant
        hits = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 1e-6)
    return float(distance[hits].min()) if hits.any() else float('inf')


def test_no_rays_meet_nothing(drive: tuple[list[SyntheticSweep], Street]) -> None:
    none = np.zeros((0, 3), np.float32)
    hits = drive[1].scene.cast(none, none, 0.0)
    assert len(hits.distance) == len(hits.normal) == 0


def test_visibility_of_points_is_what_rays_from_the_camera_find(drive: tuple[list[SyntheticSweep], Street]) -> None:
    sweeps, street = drive
    sweep, camera = sweeps[0], RIG.cameras[0]
    T = pose_at(sweep, 0.5) @ np.linalg.inv(camera.T_camera_lidar)
    world = world_points(sweep, PERIOD)
    local = (world - T[:3, 3]) @ T[:3, :3]
    pixel = local @ camera.projection[:, :3].T
    with np.errstate(divide='ignore', invalid='ignore'):
        uv = pixel[:, :2] / pixel[:, 2:]
    inside = (local[:, 2] > 0.5) & (uv > 1).all(1) & (uv < [camera.width - 1, camera.height - 1]).all(1)
    seen = sweep.point_visible[0]
    near = (local[:, 2] > 0) & (uv > -1).all(1) & (uv < [camera.width + 1, camera.height + 1]).all(1)
    assert not (seen & ~near).any()
    actors = [a.instance for a in street.scene.actors]
    static = inside & ~np.isin(sweep.point_instance, actors)
    meshes = [street.scene.static_mesh, *(a.traced.mesh.transformed(a.pose(PERIOD / 2)) for a in street.scene.actors)]
    triangles = np.concatenate([m.vertices[m.faces] for m in meshes]).astype(np.float64)
    depth = ((triangles.mean(1) - T[:3, 3]) @ T[:3, :3])[:, 2]
    triangles = triangles[(depth > -5) & (depth < 90)]
    random = np.random.default_rng(0)
    right = wrong = 0
    for state in (True, False):
        rows = np.flatnonzero(static & (seen == state))
        assert len(rows) > 20  # some that the LiDAR sees are hidden from the camera beside it
        for row in random.choice(rows, 20, replace=False):
            to = world[row] - T[:3, 3]
            distance = float(np.linalg.norm(to))
            nearest = hit_distance(triangles, T[:3, 3], to / distance)
            if abs(nearest - distance * 0.999 + 0.05) < 0.15:
                continue  # noise of the range decides
            right += (nearest > distance) == state
            wrong += (nearest > distance) != state
    assert wrong == 0 and right > 10


def test_points_and_pixels_tell_the_same(drive: tuple[list[SyntheticSweep], Street]) -> None:
    sweeps, _ = drive
    agree, depths, instances = [], [], []
    for sweep in sweeps:
        camera, truth = RIG.cameras[0], sweep.pixels[0]
        T = pose_at(sweep, 0.5) @ np.linalg.inv(camera.T_camera_lidar)
        local = (world_points(sweep, PERIOD) - T[:3, 3]) @ T[:3, :3]
        rows = np.flatnonzero(sweep.point_visible[0] & (sweep.point_class != LEAVES))
        uv = local[rows] @ camera.projection[:, :3].T
        u, v = np.rint(uv[:, :2] / uv[:, 2:]).astype(int).T
        kept = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
        rows, u, v = rows[kept], u[kept], v[kept]
        agree.append(truth.class_id[v, u] == sweep.point_class[rows])
        depths.append(np.abs(truth.depth[v, u] - local[rows, 2]) < 0.1 + 0.05 * local[rows, 2])
        moving = sweep.point_instance[rows] > 0
        instances.append((truth.instance_id[v, u] == sweep.point_instance[rows])[moving])
    assert np.concatenate(agree).mean() > 0.9
    assert np.concatenate(depths).mean() > 0.9
    assert len(np.concatenate(instances)) > 50 and np.concatenate(instances).mean() > 0.75
