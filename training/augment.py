"""Augmentation of single sweeps: what differs between sensors, mountings and places, so that a network trained on the
synthetic world does not rely on it."""

from __future__ import annotations

import numpy as np

from training.augment_mix import mix
from training.augment_surface import vary_roughness
from training.labelled_sweep import LabelledSweep


def augment(sweep: LabelledSweep, partner: LabelledSweep | None, rng: np.random.Generator,
            headings_deg: tuple[float, ...] = (0.0,), strength: float = 1.0) -> LabelledSweep:
    """One random variant of ``sweep``; with a ``partner``, parts of it may be mixed in; the vehicle's front, +x in
    the sweep, comes to lie in one of ``headings_deg``, more or less. ``strength``, 0..1, is the share of strong
    changes made: less of them late in a run lets the network settle on what sweeps are really like."""
    sweep = vary_material(sweep, rng, strength)
    if partner is not None and rng.random() < 0.5 * strength:
        sweep = mix(sweep, vary_material(partner, rng, strength), rng)
    if rng.random() < strength:
        sweep = drop_points(sweep, rng)
    return move_sensor(sweep, rng, headings_deg)


def vary_material(sweep: LabelledSweep, rng: np.random.Generator, strength: float = 1.0) -> LabelledSweep:
    """Other intensities, and more often than not other roughness."""
    if rng.random() < 0.7 * strength:
        sweep = vary_roughness(sweep, rng)
    if rng.random() < strength:
        return vary_intensity(sweep, rng)
    gain = np.float32(np.exp(rng.normal(0, 0.1)))
    return sweep.with_intensity(np.clip(sweep.intensity * gain, 0, 1))


def move_sensor(sweep: LabelledSweep, rng: np.random.Generator,
                headings_deg: tuple[float, ...] = (0.0,)) -> LabelledSweep:
    """Turn about z (mostly near a heading: streets run ahead of cars), mirror, scale, pitch, roll, height, noise."""
    xyz = sweep.xyz.astype(np.float64)
    if rng.random() < 0.5:
        xyz[:, 1] *= -1
    if rng.random() < 0.5:
        xyz[:, 0] *= -1
    yaw = rng.uniform(-np.pi, np.pi) if rng.random() < 0.25 else np.deg2rad(rng.choice(headings_deg) + rng.normal(0, 8))
    xyz = bend_ground(xyz, rng) @ rotation(yaw, 0, 0).T
    roll, pitch = np.deg2rad(rng.normal(0, (1.3, 0.8)))
    xyz = xyz @ rotation(0, pitch, roll).T * rng.uniform(0.95, 1.05)
    xyz[:, 2] += rng.normal(0, 0.08)
    noise = abs(rng.normal(0, 0.006))
    distance = np.maximum(np.linalg.norm(xyz, axis=1, keepdims=True), 1e-3)
    xyz *= 1 + rng.normal(0, noise, (len(xyz), 1)) / distance
    return sweep.with_xyz(xyz)


def bend_ground(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Streets are neither flat nor level: lift everything by a few long waves that grow away from the sensor."""
    height = np.zeros(len(xyz))
    for _ in range(2):
        heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(25, 90)
        along = xyz[:, 0] * np.cos(heading) + xyz[:, 1] * np.sin(heading)
        phase = rng.uniform(0, 2 * np.pi)
        amplitude = abs(rng.normal(0, 0.008)) * length
        wave = 2 * np.pi / length
        # less its value and slope below the sensor, which stands upright on the ground
        height += amplitude * (np.sin(along * wave + phase) - np.sin(phase) - along * wave * np.cos(phase) * 0.7)
    result = xyz.copy()
    result[:, 2] += np.clip(height, -6, 6)
    return result


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rz(yaw) Ry(pitch) Rx(roll), radians, 3x3."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return about_z @ about_y @ about_x


def vary_intensity(sweep: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Intensity is what differs most between a simulator and a sensor: change its scale, curve, noise and materials;
    sometimes take it away, so that shape alone must do."""
    kind = rng.random()
    if kind < 0.2:
        return sweep.with_intensity(np.zeros(len(sweep), np.float32))
    value = np.clip(sweep.intensity, 0, 1)
    if kind < 0.3:
        return sweep.with_intensity(_shuffle_blocks(value, sweep.xyz, rng))
    material = np.exp(rng.normal(0, 0.35, 256)).astype(np.float32)[sweep.label]
    gain = np.float32(np.exp(rng.normal(0, 0.35)))
    gamma = np.float32(np.exp(rng.normal(0, 0.3)))
    value = material * gain * value ** gamma
    value *= 1 + rng.normal(0, abs(rng.normal(0, 0.15)), len(value)).astype(np.float32)
    value += np.float32(rng.normal(0, 0.02))
    per_beam = np.exp(rng.normal(0, abs(rng.normal(0, 0.15)), 256)).astype(np.float32)  # badly calibrated beams
    return sweep.with_intensity(np.clip(value * per_beam[sweep.ring], 0, 1))


def _shuffle_blocks(value: np.ndarray, xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Intensities exchanged at random within blocks of azimuth: the histogram stays, its meaning goes."""
    block = np.floor((np.arctan2(xyz[:, 1], xyz[:, 0]) / np.pi + 1) * rng.uniform(4, 16)).astype(np.int32)
    order = np.argsort(block, kind='stable')
    shuffled = np.lexsort((rng.random(len(value)), block))
    result = np.empty_like(value)
    result[order] = value[shuffled]
    return result


def drop_points(sweep: LabelledSweep, rng: np.random.Generator) -> LabelledSweep:
    """Points, beams, a sector or far points get lost, each now and then."""
    keep = np.ones(len(sweep), bool)
    if rng.random() < 0.5:
        keep &= rng.random(len(sweep)) > rng.uniform(0, 0.5)
    if rng.random() < 0.3:
        lost = rng.random(256) < rng.uniform(0, 0.4)
        keep &= ~lost[sweep.ring]
    if rng.random() < 0.15:
        azimuth = np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0])
        width = rng.uniform(0.1, 0.8)
        keep &= np.mod(azimuth - rng.uniform(-np.pi, np.pi), 2 * np.pi) > width
    if rng.random() < 0.3:
        distance = np.linalg.norm(sweep.xyz, axis=1)
        reach = rng.uniform(25, 100)
        keep &= rng.random(len(sweep)) < np.exp(-((distance / reach) ** 2))
    return sweep.take(keep) if keep.sum() > 1000 else sweep
