"""Statistics that hold the synthetic world against real sweeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [dev])')

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud
from training.commands.realism import MARK, write_markdown
from training.world.realism import Source, lidar_summary, real_sources, summarise, synthetic_source
from training.world.realism_sheets import birds_eye, image_sheet, lidar_sheet, range_picture
from training.world.sensors import LidarSpec, hdl32, hdl64
from training.world.statistics.beams import beam_shares, drop_out
from training.world.statistics.classes import class_shares
from training.world.statistics.ground import ground_share
from training.world.statistics.intensity import intensity_by_class
from training.world.statistics.measured import MeasuredSweep, beams_of, measured
from training.world.statistics.ranges import range_quantiles
from training.world.statistics.voxels import occupied_neighbours

DATA = Path(__file__).parents[2] / 'shared' / 'data'
real = pytest.mark.skipif(not DATA.is_dir(), reason='no folder of real frames beside the repository')


def turn(spec: LidarSpec, columns: int = 90, distance: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """One turn at one distance, beam by beam from the top, begun looking forwards: xyz and beam."""
    azimuth = np.linspace(0.01, 2 * np.pi - 0.01, columns)
    e, a = (x.ravel() for x in np.meshgrid(spec.elevation, azimuth, indexing='ij'))
    xyz = distance * np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], 1)
    return xyz.astype(np.float32), np.repeat(np.arange(len(spec.elevation)), columns)


def plain(xyz: np.ndarray, beam: np.ndarray | None = None, label: np.ndarray | None = None) -> MeasuredSweep:
    beams = np.zeros(len(xyz), np.int64) if beam is None else beam
    return MeasuredSweep(xyz, np.linspace(0, 1, len(xyz), dtype=np.float32), beams, label, ('none', 'road', 'car'))


@pytest.mark.parametrize('spec', [hdl64(), hdl32()])
def test_beams_are_told_by_ring_by_order_or_by_elevation(spec: LidarSpec) -> None:
    xyz, beam = turn(spec)
    cloud = PointCloud(xyz, np.zeros(len(xyz), np.float32))
    np.testing.assert_array_equal(beams_of(cloud, spec), beam)
    gap = np.ones(len(xyz), bool)
    gap[300:330] = False  # some returns are lost
    np.testing.assert_array_equal(beams_of(PointCloud(xyz[gap], np.zeros(gap.sum(), np.float32)), spec), beam[gap])
    shuffled = np.random.default_rng(0).permutation(len(xyz))
    np.testing.assert_array_equal(beams_of(PointCloud(xyz[shuffled], cloud.intensity), spec), beam[shuffled])
    ring = (len(spec.elevation) - 1 - beam).astype(np.uint16)
    np.testing.assert_array_equal(beams_of(PointCloud(xyz, cloud.intensity, ring=ring), spec), beam)


def test_points_that_are_not_finite_or_too_near_do_not_count() -> None:
    xyz, beam = turn(hdl32())
    xyz[3], xyz[7] = np.nan, 0.1
    label = np.ones(len(xyz), np.uint8)
    sweep = measured(PointCloud(xyz, np.zeros(len(xyz), np.float32)), hdl32(), label, ('none', 'road'))
    assert len(sweep.xyz) == len(sweep.label if sweep.label is not None else ()) == len(beam) - 2


def test_lost_returns_are_counted_for_each_half() -> None:
    xyz, beam = turn(hdl32(), 100)
    lost = (beam == 0) | ((beam < 16) & (np.arange(len(xyz)) % 2 == 0))
    sweep = plain(xyz[~lost], beam[~lost])
    found = drop_out(sweep, 32)
    assert found['drop-out of the lower half, %'] == 0
    assert found['drop-out of the upper half, %'] == pytest.approx(100 * (100 + 15 * 50) / 1600)
    shares = beam_shares(sweep, 32)
    assert sum(shares.values()) == pytest.approx(100) and len(shares) == 4
    assert shares['points on beams 1-8, %'] == pytest.approx(100 * 350 / (350 + 400 + 1600))


def test_neighbours_of_voxels_are_counted_exactly() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing='ij'), -1).reshape(-1, 3) * 0.1 + [5.05, -2.05, 0.05]
    alone = np.array([[20.05, 0.05, 0.05], [20.05, 0.05, 0.05]])
    found = occupied_neighbours(plain(np.concatenate([grid, alone]).astype(np.float32)))
    # in a cube of 27 the middle has 26 neighbours, 6 faces 17, 12 edges 11, 8 corners 7
    total = 26 + 6 * 17 + 12 * 11 + 8 * 7
    assert found['occupied neighbours of 26'] == pytest.approx(total / 28)
    assert found['the same within 15 m'] == pytest.approx(total / 27)
    assert found['voxels without neighbour, %'] == pytest.approx(100 / 28)
    assert found['points per voxel'] == pytest.approx(29 / 28)


def test_ground_ranges_and_classes() -> None:
    x, y = (v.ravel() for v in np.meshgrid(np.arange(-20, 20, 0.5), np.arange(-20, 20, 0.5)))
    ground = np.stack([x, y, np.full(len(x), -1.7)], 1)
    across, up = np.tile(np.linspace(-5, 5, 30), 10), np.repeat(np.linspace(-1.2, 1, 10), 30)
    wall = np.stack([np.full(300, 10.2), across, up], 1)
    label = np.r_[np.ones(len(ground)), np.full(len(wall), 2)].astype(np.uint8)
    sweep = plain(np.concatenate([ground, wall]).astype(np.float32), label=label)
    share = 100 * len(ground) / len(label)
    assert ground_share(sweep)['ground (by height), %'] == pytest.approx(share, abs=0.1)
    wanted = {'ground (by class), %': share, 'road, %': share, 'car, %': 100 - share}
    assert class_shares(sweep) == pytest.approx(wanted)
    assert range_quantiles(sweep)['range q50, m'] == pytest.approx(np.median(np.linalg.norm(sweep.xyz, axis=1)))
    medians = intensity_by_class(sweep)
    assert set(medians) == {'intensity of road', 'intensity of car'} and medians['intensity of road'] < 0.5
    assert class_shares(plain(sweep.xyz)) == {}


def test_summaries_leave_out_what_a_sweep_does_not_have() -> None:
    found = summarise([{'a': 1.0}, {'a': 3.0, 'b': 5.0}])
    assert (found['a'].mean, found['a'].count, found['b'].mean, found['b'].count) == (2, 2, 5, 1)


def test_pictures_show_every_sweep_and_image() -> None:
    xyz, beam = turn(hdl32())
    sweep = plain(xyz, beam)
    rows = range_picture(sweep, 32, np.full(len(xyz), 0.5))
    assert rows.shape == (256, 1024, 3)
    assert (rows.max(2) > 0).mean() == pytest.approx(90 / 1024)
    ahead = plain(np.array([[20.0, 0, 0]], np.float32))
    assert np.argwhere(birds_eye(ahead).max(2))[0].tolist() == [120, 240]  # above the middle
    sheet = lidar_sheet([('one', sweep), ('two', sweep)], 32)
    assert sheet.shape[0] == 2 * (480 + 26)
    image = np.full((30, 60, 3), (250, 0, 0), np.uint8)
    grid = image_sheet([('red', [image] * 4)], width=60)
    assert grid.shape == (26 + 60, 180, 3) and grid[40, 10].tolist() == [0, 0, 250]


def test_tables_replace_those_of_before_and_leave_the_text(tmp_path: Path) -> None:
    report = {'LiDAR': {
        'real': summarise([{'range': 5.0, 'same': 1.0}]),
        'synthetic test': summarise([{'range': 8.0, 'same': 0.0}, {'range': 9.0, 'same': 2.0}]),
    }}
    path = tmp_path / 'page.md'
    path.write_text(f'# Title\n\nMy reading.\n\n{MARK}\n\nold table\n')
    write_markdown(path, report)
    text = path.read_text()
    assert text.startswith('# Title\n\nMy reading.') and 'old table' not in text
    assert '| range | 5 | 8.5 (8.1 .. 8.9) | too high |' in text
    assert '| same | 1 | 1 (0.2 .. 1.8) |  |' in text
    with pytest.raises(InputError, match='choose another file'):
        write_markdown(tmp_path / 'none' / 'page.md', report)


def test_missing_real_frames_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no folder .*nowhere; give the folder of real frames'):
        real_sources(tmp_path / 'nowhere', 64)
    with pytest.raises(InputError, match='no real sweep of 32 beams'):
        real_sources(tmp_path, 32)


@real
@pytest.mark.parametrize(('beams', 'spec'), [(64, hdl64()), (32, hdl32())])
def test_real_sweeps_are_found_and_measured(beams: int, spec: LidarSpec) -> None:
    sources = real_sources(DATA, beams)
    assert all(s.real and s.sweeps for s in sources) and any(s.images for s in sources)
    for sweep in sources[0].sweeps:
        assert len(np.unique(sweep.beam)) == beams
        elevation = [np.median(sweep.xyz[sweep.beam == b, 2] / sweep.distance[sweep.beam == b]) for b in (0, beams - 1)]
        np.testing.assert_allclose(np.arcsin(elevation), spec.elevation[[0, -1]], atol=np.radians(1.5))
    summary = lidar_summary(Source('first', True, sources[0].sweeps[:1]), spec)
    assert 0 < summary['drop-out, %'].mean < 50 and summary['points'].mean > 20_000


def test_synthetic_streets_are_measured_in_other_processes() -> None:
    source = synthetic_source(64, 'test', 1, 1)
    summary = lidar_summary(source, hdl64())
    assert summary['points'].mean > 90_000 and summary['road, %'].mean > 5
    assert source.images[0].shape == (375, 1242, 3)
