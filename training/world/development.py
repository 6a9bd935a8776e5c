"""From light on the sensor to an 8-bit image: lens blur, vignetting, exposure, noise, tone curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from sam2amml_core.errors import InputError
from training.world.sky import Weather

F = np.float32
_STEPS = 4096  # of the tone curve's table
_WHITE = 2.4  # linear value at which the sensor clips
_GRAY_LEVEL = 0.28  # of the darkest to brightest output, on which the exposure aims
_GRAY = np.array([0.30, 0.59, 0.11], np.float32)


@dataclass(frozen=True)
class CameraLook:
    """How a camera takes pictures, and in what weather.

    exposure       factor on the light, on top of the automatic exposure
    white_balance  factors on red, green, blue
    saturation     1 = as it is
    gamma          of the tone curve: 2.2 as screens expect, less = harder, with darker shadows
    blur           standard deviation of the lens and pixel footprint, pixels
    vignetting     loss of light in the corners, 0..1
    shot_noise, read_noise  standard deviations at full white and in the dark, linear; sensors add both in squares
    """

    exposure: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    gamma: float = 1.6
    blur: float = 0.55
    vignetting: float = 0.12
    shot_noise: float = 0.006
    read_noise: float = 0.001
    weather: Weather = field(default_factory=Weather)

    def __post_init__(self) -> None:
        for name in ('exposure', 'gamma'):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f'camera look: {name} is {value}; give a number above 0')
        for name in ('blur', 'vignetting', 'shot_noise', 'read_noise', 'saturation'):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f'camera look: {name} is {value}; give 0 or more')

    @staticmethod
    def draw(rng: np.random.Generator, exposure: float = 1.0) -> CameraLook:
        """Some camera on some day."""
        warm, green = rng.normal(0, 0.03), rng.normal(0, 0.01)
        return CameraLook(
            exposure, (float(1 + warm), float(1 + green), float(1 - warm)), float(rng.uniform(0.8, 1.45)),
            float(rng.uniform(0.95, 2.2)), float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.02, 0.25)),
            float(rng.uniform(0.002, 0.008)), float(rng.uniform(0.0005, 0.002)), Weather.draw(rng),
        )


def develop(linear: np.ndarray, rng: np.random.Generator, look: CameraLook) -> np.ndarray:
    """uint8 [H, W, 3] from radiance float32 [H, W, 3], which it may overwrite."""
    height, width = linear.shape[:2]
    np.minimum(linear, F(8), out=linear)
    if look.blur > 0:
        linear = np.asarray(cv2.GaussianBlur(linear, (3, 3), look.blur), np.float32)
    x = (np.arange(width, dtype=np.float32) / width - F(0.5)) ** 2
    y = (np.arange(height, dtype=np.float32) / width - F(0.5 * height / width)) ** 2
    falloff = 1 - F(look.vignetting) * (y[:, None] + x[None, :]) / (x[0] + y[0])
    falloff *= F(look.exposure) * _metered(linear, look.gamma)
    linear *= falloff[..., None]
    if look.saturation != 1:
        s = look.saturation
        mix = s * np.eye(3, dtype=np.float32) + (1 - s) * np.tile(_GRAY, (3, 1))
        mix = np.diag(np.array(look.white_balance, np.float32)) @ mix
    else:
        mix = np.diag(np.array(look.white_balance, np.float32))
    linear = np.asarray(cv2.transform(linear, mix.astype(np.float32)), np.float32)
    np.maximum(linear, 0, out=linear)
    noise = rng.standard_normal(linear.shape, dtype=np.float32)
    noise *= np.sqrt(linear * F(look.shot_noise**2) + F(look.read_noise**2))
    linear += noise
    linear *= F((_STEPS - 1) / _WHITE)
    np.clip(linear, 0, _STEPS - 1, out=linear)
    return np.take(_curve(look.gamma), linear.astype(np.uint16))


def _metered(linear: np.ndarray, gamma: float) -> np.float32:
    """The automatic exposure: brings the lower two thirds of the picture most of the way to a medium gray."""
    below = linear[linear.shape[0] // 3 :: 8, ::8] @ _GRAY
    average = np.exp(np.mean(np.log(np.clip(below, 0.01, 1.5))))
    return F((_GRAY_LEVEL**gamma / average) ** 0.8)


def _curve(gamma: float) -> np.ndarray:
    """Tone curve uint8 [_STEPS]: a short shoulder in the lights, then a power."""
    x = np.linspace(0, _WHITE, _STEPS)
    knee = 0.7
    shouldered = np.where(x < knee, x, 1 - (1 - knee) * np.exp(-(x - knee) / (1 - knee)))
    return np.clip(shouldered ** (1 / gamma) * 256, 0, 255).astype(np.uint8)
