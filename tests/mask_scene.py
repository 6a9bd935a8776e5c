"""A small scene for the tests of masks: ground, two boxes and a wall, seen by one camera beside the LiDAR."""

from __future__ import annotations

import numpy as np

from sam2amml_core.frame import Camera, CameraView, PointCloud

OPTICAL = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
WIDTH, HEIGHT = 320, 160
BOXES = ((10.0, 2.0, 2.0, 1.8), (12.0, -3.0, 1.6, 2.0))
"""Distance, left, width, height above the ground, metres, of front faces."""

GROUND, FIRST, SECOND, WALL = 1, 2, 3, 4
TRAIN_ID = np.array([0, 9, 1, 6, 13], np.uint8)
"""SemanticKITTI train ids of the parts: road, car, person, building."""


def make_camera(width: int = WIDTH, height: int = HEIGHT) -> Camera:
    matrix = np.array([[200.0, 0, width / 2, 0], [0, 200.0, height * 0.45, 0], [0, 0, 1, 0]])
    body = np.eye(4)
    body[:3, 3] = 0.3, 0.0, -0.2
    return Camera('front', width, height, matrix, OPTICAL @ np.linalg.inv(body))


def make_scene(seed: int = 0) -> tuple[CameraView, PointCloud, np.ndarray]:
    """The view, the cloud, and of each point the part it lies on, uint8 [N]."""
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-40, 40, 0.25)), np.radians(np.arange(-20, 4, 0.5)))
    direction = np.stack((np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
                          np.sin(elevation)), axis=-1).reshape(-1, 3)
    distance, part = _trace(np.zeros(3), direction)
    hit = part > 0
    rng = np.random.default_rng(seed)
    distance = distance[hit] + rng.normal(0, 0.01, int(hit.sum()))
    xyz = (direction[hit] * distance[:, None]).astype(np.float32)
    truth = pixel_truth()
    colors = np.array([(200, 220, 250), (90, 90, 95), (200, 40, 40), (40, 60, 200), (180, 170, 120)])
    image = np.clip(colors[truth] + rng.normal(0, 4, (*truth.shape, 3)), 0, 255).astype(np.uint8)
    return CameraView(make_camera(), image), PointCloud(xyz, np.zeros(len(xyz), np.float32)), part[hit]


def pixel_truth() -> np.ndarray:
    """The part that each pixel shows, uint8 [H, W], 0 = sky."""
    camera = make_camera()
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    optical = np.stack(((u - camera.projection[0, 2]) / 200, (v - camera.projection[1, 2]) / 200, np.ones_like(u)), -1)
    pose = np.linalg.inv(camera.T_camera_lidar)
    rays = optical.reshape(-1, 3) @ pose[:3, :3].T
    return _trace(pose[:3, 3], rays)[1].reshape(HEIGHT, WIDTH)


def _trace(origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance in lengths of the ray, and part, of what each ray meets first."""
    best = np.full(len(rays), np.inf)
    part = np.zeros(len(rays), np.uint8)

    def meet(t: np.ndarray, ok: np.ndarray, number: int) -> None:
        closer = ok & (t > 0) & (t < best)
        best[closer], part[closer] = t[closer], number

    with np.errstate(divide='ignore', invalid='ignore'):
        t = (-1.7 - origin[2]) / rays[:, 2]
        meet(t, t * np.abs(rays[:, 0]) < 30, GROUND)
        for number, (x, y, width, height) in zip((FIRST, SECOND), BOXES, strict=True):
            t = (x - origin[0]) / rays[:, 0]
            place = origin + t[:, None] * rays
            above = place[:, 2] + 1.7
            meet(t, (np.abs(place[:, 1] - y) < width / 2) & (above > 0) & (above < height), number)
        t = (25 - origin[0]) / rays[:, 0]
        place = origin + t[:, None] * rays
        meet(t, (np.abs(place[:, 1]) < 18) & (place[:, 2] > -1.7) & (place[:, 2] < 2), WALL)
    return best, part
