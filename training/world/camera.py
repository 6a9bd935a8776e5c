"""Pictures of the synthetic world, one ray through the middle of each pixel, with the exact truth of every pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, Distortion
from sam2amml_core.geometry.distortion import undistort
from training.world.development import CameraLook, develop
from training.world.scene import Scene
from training.world.shading import radiance
from training.world.sweep import PixelTruth

__all__ = ['CameraLook', 'render']


@lru_cache(maxsize=8)
def _rays(
    projection: bytes, width: int, height: int, lens: Distortion | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit directions float32 [H*W, 3] through pixel centres, depth per metre of ray [H*W], and the centre [3].

    From  depth (u, v, 1) = M x + p  with projection [M p]:  x = depth M^-1 (u, v, 1) - M^-1 p.
    """
    matrix = np.frombuffer(projection, np.float64).reshape(3, 4)
    inverse = np.linalg.inv(matrix[:, :3])
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ inverse.T
    if lens is not None:
        rays /= rays[:, 2:]
        rays[:, 0], rays[:, 1] = undistort(rays[:, 0], rays[:, 1], lens)
    length = np.linalg.norm(rays, axis=1)
    return (rays / length[:, None]).astype(np.float32), (1 / length).astype(np.float32), -inverse @ matrix[:, 3]


def render(
    scene: Scene, camera: Camera, T_world_camera: np.ndarray, t: float, rng: np.random.Generator, look: CameraLook
) -> tuple[np.ndarray, PixelTruth]:
    """The image that ``camera`` at pose ``T_world_camera`` (4x4, optical frame) takes ``t`` seconds into the drive.

    Image uint8 [H, W, 3] RGB. Truth is that of the ray through each pixel's centre (u + 0.5, v + 0.5); its depth is
    the camera's ``depth``. The vehicle that carries the camera is not in the picture. The same arguments and the same
    state of ``rng``, which gives the noise, make the same bytes. Raises InputError for a projection that no camera has.
    """
    projection = np.ascontiguousarray(camera.projection, np.float64)
    if not np.isfinite(projection).all() or abs(np.linalg.det(projection[:, :3])) < 1e-9:
        raise InputError(f'camera {camera.name}: projection cannot be inverted; give finite focal lengths above zero')
    shape = (camera.height, camera.width)
    rays, depth_share, center = _rays(projection.tobytes(), camera.width, camera.height, camera.distortion)
    directions = rays @ T_world_camera[:3, :3].T.astype(np.float32)
    origin = T_world_camera[:3, :3] @ center + T_world_camera[:3, 3]
    hits = scene.cast(origin.astype(np.float32)[None], directions, t)
    classes = np.array([0 if i < 0 else scene.materials[i].class_id for i in range(-1, len(scene.materials))], np.uint8)
    truth = PixelTruth(
        class_id=classes[hits.material + 1].reshape(shape),
        instance_id=hits.instance.reshape(shape),
        depth=(hits.distance * depth_share).reshape(shape),
    )
    pixel_angle = float(1 / np.sqrt(abs(projection[0, 0] * projection[1, 1])))
    linear = radiance(scene, hits, directions, origin, shape, pixel_angle, t, look.weather)
    return develop(linear.reshape(*shape, 3), rng, look), truth
