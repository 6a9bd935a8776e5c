"""The real SAM2 classes at nano size: loading, prompting, the whole path, and what can be wrong with a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mask_scene import HEIGHT, TRAIN_ID, WIDTH, make_scene

from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.masks.lidar_masks import LidarMasks, LidarMaskSettings
from sam2amml_core.masks.prompts import Prompt
from sam2amml_core.masks.sam2_encoder import with_encoder
from sam2amml_core.masks.sam2_images import decode, place, tiles
from sam2amml_core.masks.sam2_model import Sam2, build, find_config, load, read_config

torch = pytest.importorskip('torch', reason='the extra [sam2] is not installed')
pytest.importorskip('sam2', reason='the extra [sam2] is not installed')

from training.masks.encoder_export import export_encoder  # noqa: E402
from training.masks.nano import nano_config  # noqa: E402

SIZE = 64


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration and random weights."""
    path = tmp_path_factory.mktemp('sam2')
    torch.manual_seed(0)
    (path / 'nano.yaml').write_text(yaml.safe_dump(nano_config(SIZE)))
    torch.save({'model': {k: v.half() for k, v in build(nano_config(SIZE)).state_dict().items()}}, path / 'nano.pt')
    return path


@pytest.fixture(scope='module')
def sam(folder: Path) -> Sam2:
    return load(str(folder / 'nano.yaml'), folder / 'nano.pt')


def test_nano_is_small_and_real(sam: Sam2) -> None:
    from sam2.modeling.sam2_base import SAM2Base

    assert isinstance(sam.network, SAM2Base) and not sam.network.training
    assert 2e6 < sum(p.numel() for p in sam.network.parameters()) < 4.5e6
    assert sam.image_size == SIZE and len(sam.checkpoint) == 64


def prompts() -> list[Prompt]:
    def one(x: float, y: float, w: float) -> Prompt:
        points = np.array([[x, y], [x + w, y]], np.float32)
        box = np.array([x - w / 2, y - min(w, 80) / 2, x + w / 2, y + min(w, 80) / 2], np.float32)
        return Prompt(1, False, points, np.array([True, False]), box, np.array([[int(x), int(y)]], np.int32))

    return [one(30, 60, 20), one(160, 80, 300), one(290, 60, 20), one(170, 80, 30)]


def test_prompts_go_to_the_smallest_tile_that_holds_them(sam: Sam2) -> None:
    rects = tiles(WIDTH, HEIGHT)
    sizes = {(x1 - x0, y1 - y0) for x0, y0, x1, y1 in rects}
    assert rects[0] == (0, 0, WIDTH, HEIGHT) and sizes == {(WIDTH, HEIGHT), (192, 160), (96, 80)}
    cover = np.zeros((HEIGHT, WIDTH), int)
    for x0, y0, x1, y1 in rects[1:]:
        cover[y0:y1, x0:x1] += 1
    assert cover.min() >= 2
    assert {rect[2] - rect[0] for rect in tiles(160, 160)} == {160, 80} and tiles(WIDTH, HEIGHT, False) == rects[:1]
    chosen = [rects[number] for number in place(prompts(), rects, WIDTH, HEIGHT)]
    for (x0, y0, x1, y1), prompt in zip(chosen, prompts(), strict=True):
        assert (prompt.box[:2] >= (x0, y0)).all() and (prompt.box[2:] <= (x1, y1)).all()
    assert [x1 - x0 for x0, _, x1, _ in chosen] == [96, WIDTH, 96, 96]


def test_decoding_in_batches_changes_nothing(sam: Sam2) -> None:
    view, _, _ = make_scene()
    whole, parts = ({row: (d.logits[k], d.iou[k]) for d in decode(sam, view.image, prompts(), (2, 3), batch=batch)
                     for k, row in enumerate(d.rows)} for batch in (8, 1))
    assert whole.keys() == parts.keys() == {0, 1, 2, 3}
    for row, (logits, iou) in whole.items():
        assert logits.shape == (4, SIZE // 4, SIZE // 4) and iou.shape == (4,)
        assert np.abs(logits - parts[row][0]).max() < 1e-3 and np.abs(iou - parts[row][1]).max() < 1e-4


def test_decoding_equals_the_predictor_of_sam2(sam: Sam2) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    predictor = SAM2ImagePredictor(sam.network)
    predictor._bb_feat_sizes = [(SIZE // stride,) * 2 for stride in (4, 8, 16)]  # it assumes 1024 px
    predictor.set_image(image)
    prompt = prompts()[0]
    points = np.array([[20.5, 30.5], [50.5, 40.5]], np.float32)
    mine = Prompt(1, False, points, np.array([True, False]), prompt.box, prompt.pixels)
    _, iou, low = predictor.predict(points - 0.5, np.array([1, 0]), multimask_output=True, return_logits=True)
    ours = next(decode(sam, image, [mine], (2, 3), boxes=False, areas=False))
    assert np.abs(np.clip(ours.logits[0, 1:], -32, 32) - low).max() < 1e-3
    assert np.abs(ours.iou[0, 1:] - iou).max() < 1e-4


@pytest.mark.parametrize('classes', [True, False])
def test_the_whole_path_gives_masks_with_provenance_twice_the_same(sam: Sam2, classes: bool) -> None:
    view, cloud, part = make_scene()
    told = TRAIN_ID[part] if classes else None
    maker = LidarMasks(sam)
    masks = maker.generate(view, cloud, told)
    assert len(masks) >= 3 and maker.prompted >= 4
    assert masks.provenance == maker.provenance(view, cloud, told)
    assert masks.provenance.checkpoint == sam.checkpoint
    assert np.array_equal(maker.generate(view, cloud, told).id_map, masks.id_map)
    other = LidarMasks(sam, LidarMaskSettings(tiling=False))
    assert other.provenance(view, cloud, told) != masks.provenance


def test_an_exported_encoder_gives_the_same_masks(sam: Sam2, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript', reason='the extra [train] is not installed')
    path = export_encoder(sam, tmp_path / 'encoder.onnx')
    faster = with_encoder(sam, path, 'cpu')
    view, cloud, part = make_scene()
    plain, other = LidarMasks(sam), LidarMasks(faster)
    one, two = (maker.generate(view, cloud, TRAIN_ID[part]) for maker in (plain, other))
    assert (one.id_map != two.id_map).mean() < 1e-3
    assert one.provenance != two.provenance
    for a, b in zip(decode(sam, view.image, prompts(), (2, 3)), decode(faster, view.image, prompts(), (2, 3)),
                    strict=True):
        assert np.abs(a.logits - b.logits).max() < 1e-3
        assert torch.is_grad_enabled()  # also in the middle of decoding
    with pytest.raises(InputError, match='made from weights'):
        with_encoder(replace(sam, checkpoint='0' * 64), path)
    with pytest.raises(InputError, match='export-encoder'):
        with_encoder(sam, tmp_path / 'none.onnx')
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match='export it again'):
        with_encoder(sam, path)


def test_what_cannot_be_used_is_named(sam: Sam2, caplog: pytest.LogCaptureFixture) -> None:
    view, cloud, _ = make_scene()
    maker = LidarMasks(sam)
    with pytest.raises(InputError, match='need a LiDAR sweep'):
        maker.generate(view)
    with pytest.raises(InputError, match='3 classes for a cloud'):
        maker.generate(view, cloud, np.ones(3, np.uint8))
    with pytest.raises(InputError, match='calibration for 320 x 160'):
        maker.generate(CameraView(view.camera, view.image[:100]), cloud)
    behind = PointCloud(-np.abs(cloud.xyz), cloud.intensity)
    assert len(maker.generate(view, behind)) == 0
    assert 'camera front sees no point of the sweep' in caplog.text


@pytest.mark.parametrize(('case', 'words'), [
    ('missing', 'does not exist'), ('cut', 'truncated'), ('text', 'truncated'), ('key', 'no key `model`'),
    ('size', 'different sizes'), ('old', 'of SAM 2.0, the configuration of SAM 2.1'), ('hash', 'expected 000000'),
])
def test_checkpoints_that_do_not_fit_are_refused(folder: Path, tmp_path: Path, case: str, words: str) -> None:
    config, good, bad = nano_config(SIZE), folder / 'nano.pt', tmp_path / 'bad.pt'
    state: dict[str, Any] = torch.load(good, weights_only=True)
    if case == 'cut':
        bad.write_bytes(good.read_bytes()[:-5000])
    elif case == 'text':
        bad.write_text('version https://git-lfs')
    elif case == 'key':
        torch.save(state['model'], bad)
    elif case == 'size':
        config['model']['image_encoder']['trunk']['stages'] = [1, 2, 4, 2]
        config['model']['memory_encoder']['out_dim'] = 32
        state['model']['no_mem_embed'] = state['model']['no_mem_embed'][..., :64]
        torch.save(state, bad)
    elif case == 'old':
        new = ('no_obj_embed_spatial', 'obj_ptr_tpos_proj')
        torch.save({'model': {k: v for k, v in state['model'].items() if not k.startswith(new)}}, bad)
    elif case == 'hash':
        torch.save(state, bad)
    (tmp_path / 'c.yaml').write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=words):
        load(str(tmp_path / 'c.yaml'), bad, sha256='0' * 64 if case == 'hash' else None)


def test_wrong_configurations_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r'configs/sam2\.1/sam2\.1_hiera_t\.yaml'):
        find_config('sam2.1_hiera_tiny')
    (tmp_path / 'c.yaml').write_text('a: 1')
    with pytest.raises(InputError, match='no key `model`'):
        load(str(tmp_path / 'c.yaml'), folder / 'nano.pt')
    with pytest.raises(InputError, match='no shipped SAM2'):
        load('sam2_giant')
    with pytest.raises(InputError, match='cannot be built'):
        build({'model': {'_target_': 'sam2.modeling.sam2_base.SAM2Base', 'nonsense': 1}})


@pytest.mark.parametrize('layout', ['configs/sam2/sam2_hiera_t.yaml', 'configs/sam2.1/sam2.1_hiera_t.yaml'])
def test_layouts_of_both_versions_load(tmp_path: Path, layout: str) -> None:
    """Made small, since the real sizes take seconds."""
    content = read_config(find_config(layout))
    trunk = content['model']['image_encoder']['trunk']
    trunk |= {'embed_dim': 16, 'stages': [1, 1, 1, 1], 'global_att_blocks': []}
    content['model']['image_encoder']['neck']['backbone_channel_list'] = [128, 64, 32, 16]
    content['model']['memory_attention']['num_layers'] = 1
    content['model']['image_size'] = 128
    torch.save({'model': build(content).state_dict()}, tmp_path / 'small.pt')
    (tmp_path / 'small.yaml').write_text(yaml.safe_dump(content))
    loaded = load(str(tmp_path / 'small.yaml'), tmp_path / 'small.pt')
    view, cloud, part = make_scene()
    assert len(LidarMasks(loaded).generate(view, cloud, TRAIN_ID[part])) >= 3
