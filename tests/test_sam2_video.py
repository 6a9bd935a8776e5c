"""Masks through a sequence: against the package's own video predictor, and with bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('sam2', reason='the extra [sam2] is not installed')

import torch
import yaml
from mask_scene import make_scene, pixel_truth

from sam2amml_core.errors import InputError
from sam2amml_core.masks.mask_set import MaskSet, Provenance, image_hash, make_mask_set
from sam2amml_core.masks.sam2_model import Sam2, build, load
from sam2amml_core.masks.sam2_video import VideoMasks, carry_identity
from training.masks.nano import nano_config

SIZE = 128


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('video')
    torch.manual_seed(1)
    (path / 'nano.yaml').write_text(yaml.safe_dump(nano_config(SIZE)))
    torch.save({'model': build(nano_config(SIZE)).state_dict()}, path / 'nano.pt')
    return path


@pytest.fixture(scope='module')
def sam(folder: Path) -> Sam2:
    return load(str(folder / 'nano.yaml'), folder / 'nano.pt')


def images(count: int) -> list[np.ndarray]:
    """The small scene, moving sideways, as squares of the network's size: no resizing comes between."""
    image = make_scene()[0].image
    return [np.ascontiguousarray(image[16:144, 60 + 6 * k:188 + 6 * k]) for k in range(count)]


def masks_of(image: np.ndarray) -> MaskSet:
    truth = pixel_truth()[16:144, 60:188]
    return make_mask_set(truth, Provenance('truth', image=image_hash(image)), smallest=20)


def test_following_equals_the_video_predictor(folder: Path, sam: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                              ) -> None:
    sequence = images(4)
    for number, image in enumerate(sequence):  # read back, since JPEG changes them
        path = str(tmp_path / f'{number}.jpg')
        cv2.imwrite(path, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    from PIL import Image

    sequence = [np.array(Image.open(tmp_path / f'{number}.jpg').convert('RGB')) for number in range(4)]
    masks = masks_of(sequence[0])
    reference = load(str(folder / 'nano.yaml'), folder / 'nano.pt', video=True).network
    state = reference.init_state(str(tmp_path))
    for number in range(1, len(masks) + 1):
        reference.add_new_mask(state, 0, number, masks.id_map == number)
    list(reference.propagate_in_video(state))
    expected = [[state['output_dict_per_obj'][k]['non_cond_frame_outputs'][frame]['pred_masks'][0, 0].numpy()
                 for k in range(len(masks))] for frame in (1, 2, 3)]
    found: list[torch.Tensor] = []
    video = VideoMasks(sam)
    step = video._step

    def listen(*given: Any) -> torch.Tensor:
        found.append(step(*given))
        return found[-1]

    monkeypatch.setattr(video, '_step', listen)
    video.start(sequence[0], masks)
    for image in sequence[1:]:
        video.follow(image)
    for ours, theirs in zip(found[1:], expected, strict=True):
        difference = np.abs(ours[:, 0].numpy() - np.stack(theirs))
        assert np.abs(theirs).max() > 0.1
        assert difference.max() < 2e-3  # the predictor keeps its memory in 16 bits; without memory it is ten times this


def test_ids_are_those_of_the_first_image(sam: Sam2) -> None:
    sequence = images(3)
    video = VideoMasks(sam, smallest=1)
    masks = masks_of(sequence[0])
    video.start(sequence[0], masks)
    for image in sequence[1:]:
        found, identity = video.follow(image)
        assert len(identity) == len(found) + 1 and identity[0] == 0
        assert set(identity[1:]) <= set(range(1, len(masks) + 1)) and len(set(identity)) == len(identity)
        found.check_image(image)


def test_memory_does_not_grow_with_the_sequence(sam: Sam2) -> None:
    video = VideoMasks(sam)
    sequence = images(2)
    video.start(sequence[0], masks_of(sequence[0]))
    sizes = []
    for _ in range(24):
        video.follow(sequence[1])
        sizes.append(len(video._outputs['non_cond_frame_outputs']))
    assert sizes[-1] == sizes[-5] <= sam.network.max_obj_ptrs_in_encoder


def test_what_cannot_be_followed_is_named(sam: Sam2) -> None:
    image = images(1)[0]
    video = VideoMasks(sam)
    with pytest.raises(InputError, match='call start first'):
        video.follow(image)
    with pytest.raises(InputError, match='no mask to follow'):
        video.start(image, make_mask_set(np.zeros(image.shape[:2], int), Provenance('t')))
    with pytest.raises(InputError, match='another image'):
        video.start(image[::-1], masks_of(image))
    video.start(image, masks_of(image))
    with pytest.raises(InputError, match='start again'):
        video.follow(image[:-8])


def test_identity_goes_to_the_largest_overlap_and_once_only() -> None:
    before, after = np.zeros((40, 40), np.uint16), np.zeros((40, 40), np.uint16)
    before[:20, :20], before[25:, 25:] = 5, 2
    after[:20, 3:20], after[0:20, 0:3], after[24:39, 24:39], after[30:, :5] = 1, 2, 3, 4
    assert carry_identity(before, after).tolist() == [0, 5, 0, 2, 0]
    assert carry_identity(before, np.zeros_like(after)).tolist() == [0]
    with pytest.raises(InputError):
        carry_identity(before, after[1:])
