"""Recipes: for which LiDAR and data a model is made and how it is trained; typed defaults that YAML files change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.losses.mask_consistency import OWN_MEAN, ConsistencySettings, Divergence
from training.datasets.open import Format


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class DataSettings(_Strict):
    """What is trained and validated on.

    root        folder of the data set
    layout      auto, semantic_kitti, nuscenes, own or cached
    train, validation  splits
    fraction    share of the training split that has labels: fixed scenes, see ``datasets.fractions``
    unlabelled  so many sweeps without labels, of the rest of the split, join every batch with mask consistency alone
    schema      of cached sweeps, which can be read in either
    masks       folder that ``sam2amml masks`` wrote, or None
    masks_shuffled  each sweep gets the masks of another: the control that tells masks from chance
    draw        even: every sweep once per epoch; balanced: sweeps with rare classes more often
    on_corrupt  stop at a sample that cannot be read, or skip and count it
    validation_sweeps  at most so many, evenly spread; None: all
    """

    root: str
    layout: Format = 'auto'
    train: str = 'train'
    validation: str | None = 'val'
    fraction: float = Field(default=1.0, gt=0, le=1)
    unlabelled: int = Field(default=0, ge=0)
    schema_name: str = Field(default='semantic_kitti', alias='schema')
    masks: str | None = None
    masks_shuffled: bool = False
    draw: Literal['even', 'balanced'] = 'even'
    on_corrupt: Literal['stop', 'skip'] = 'stop'
    validation_sweeps: int | None = Field(default=None, ge=1)


class HouseSettings(_Strict):
    """Rotation, flips, scale, jitter, LaserMix or PolarMix, objects pasted: see ``augment_house.House``."""

    kind: Literal['house'] = 'house'
    rotation_deg: float = Field(default=180.0, ge=0, le=180)
    flip: float = Field(default=0.5, ge=0, le=1)
    scale: tuple[float, float] = (0.95, 1.05)
    jitter_m: float = Field(default=0.01, ge=0)
    mixing: float = Field(default=0.8, ge=0, le=1)
    pasting: float = Field(default=0.5, ge=0, le=1)
    pasted: tuple[str, ...] = ('bicycle', 'motorcycle', 'other-vehicle', 'truck', 'person', 'bicyclist', 'motorcyclist')
    ground: tuple[str, ...] = ('road', 'parking', 'sidewalk')
    objects: int = Field(default=8, ge=1)


class StreetSettings(_Strict):
    """Strong changes that lead from the synthetic world to real sweeps: see docs/training.md.

    strength      share of strong changes, 0..1
    headings_deg  where the vehicle's front may lie in the sensor's frame, degrees from x towards y
    exchanges     exchange materials (SemanticKITTI's classes only)
    """

    kind: Literal['street'] = 'street'
    strength: float = Field(default=1.0, ge=0, le=1)
    headings_deg: tuple[float, ...] = (0.0,)
    exchanges: bool = True
    pasted: tuple[str, ...] = (
        'bicycle', 'motorcycle', 'other-vehicle', 'person', 'bicyclist', 'motorcyclist', 'traffic-sign',
    )


class NoAugmentation(_Strict):
    """Sweeps as they are."""

    kind: Literal['none'] = 'none'


Augmentation = Annotated[HouseSettings | StreetSettings | NoAugmentation, Field(discriminator='kind')]


class LossSettings(_Strict):
    """Weights of the losses; each is the mean over the sweeps of a batch of its value in the sweep.

    class_power    cross-entropy weighs classes by frequency ** -class_power; 0: all alike
    consistency    mask consistency (SAM2-AMML), with a ``divergence`` of ``losses.mask_consistency``; needs data.masks
    mask_vote      one vote of each labelled mask, see there; needs data.masks
    teacher        who says what a mask should: the network itself, or its average (loop.ema), at a third more time
    mask_class_power  masks weigh by the frequency of what they say ** -mask_class_power; 0: all alike
    mask_start     share of the run after which consistency and votes set in, over a tenth of it
    min_agreement  masks without labels teach if what the teacher says of them is as sure as this
    points, lovasz_points  of each sweep so many random points enter; Lovasz-softmax sorts them
    """

    cross_entropy: float = Field(default=1.0, ge=0)
    lovasz: float = Field(default=1.0, ge=0)
    class_power: float = Field(default=0.0, ge=0, le=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    consistency: float = Field(default=0.0, ge=0)
    divergence: Divergence = 'kl'
    mask_vote: float = Field(default=0.0, ge=0)
    teacher: Literal['itself', 'average'] = 'itself'
    mask_class_power: float = Field(default=0.0, ge=0, le=1)
    mask_start: float = Field(default=0.05, ge=0, lt=1)
    min_agreement: float = Field(default=ConsistencySettings.min_agreement, ge=0, le=1)
    points: int = Field(default=60_000, ge=1)
    lovasz_points: int = Field(default=16_000, ge=1)


class OptimiserSettings(_Strict):
    """AdamW with one cycle of the learning rate: linear rise over ``warm_up``, then half a cosine down to ``floor``."""

    learning_rate: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up: float = Field(default=0.08, gt=0, lt=1)
    floor: float = Field(default=0.01, ge=0, le=1)
    clip: float = Field(default=10.0, gt=0)


class LoopSettings(_Strict):
    """How long and on what.

    batch       sweeps per process and step; ``accumulate`` such batches make one step of the optimiser
    epochs      passes over the training split; or give ``steps`` (of the optimiser)
    minutes     end after so long even before, the learning rate follows; runs are then not repeatable to the bit
    validate_every  steps between validations and checkpoints
    early_stop  end after so many validations without a better mIoU
    ema         decay of averaged weights, which are then validated, tested and exported; None: none
    precision   of Lightning: 32-true, bf16-mixed, 16-mixed
    sync_norms  batch norms over all processes, so that a run does not depend on how many share the batch
    workers     processes per process that prepare samples; 0: none
    """

    batch: int = Field(default=2, ge=1)
    accumulate: int = Field(default=1, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    validate_every: int = Field(default=500, ge=1)
    log_every: int = Field(default=20, ge=1)
    early_stop: int | None = Field(default=None, ge=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal['32-true', 'bf16-mixed', '16-mixed'] = '32-true'
    sync_norms: bool = True
    workers: int = Field(default=1, ge=0)
    seed: int = 0

    @model_validator(mode='after')
    def _length(self) -> LoopSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError('give either epochs or steps')
        return self


class Recipe(_Strict):
    """One experiment: data, LiDAR, network and how it is trained.

    backbone  name in ``sam2amml_core.lidar.backbones.catalogue``
    variant   what distinguishes this experiment in the results, such as the loss added
    rig       of the synthetic world whose LiDAR this is; None: a real one
    """

    name: str = Field(pattern=r'^[A-Za-z0-9_.-]+$')
    variant: str = 'baseline'
    backbone: str = 'frustum_range_net'
    rig: str | None = None
    sensor: SensorGeometry
    normalisation: Normalisation
    data: DataSettings
    augmentation: Augmentation = HouseSettings()
    losses: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    loop: LoopSettings

    @model_validator(mode='after')
    def _fits(self) -> Recipe:
        losses = self.losses
        if (losses.consistency > 0 or losses.mask_vote > 0) and self.data.masks is None:
            raise ValueError('losses.consistency and losses.mask_vote need masks; give their folder as data.masks')
        if losses.teacher == 'average' and self.loop.ema is None:
            raise ValueError('losses.teacher=average needs averaged weights; set loop.ema, such as 0.99')
        if losses.teacher == 'average' and losses.divergence in OWN_MEAN:
            raise ValueError(f'losses.divergence={losses.divergence} takes no teacher')
        if self.data.unlabelled and not losses.consistency:
            raise ValueError('data.unlabelled needs losses.consistency: nothing else teaches on sweeps without labels')
        if self.data.unlabelled and self.data.fraction == 1:
            raise ValueError('data.unlabelled at data.fraction=1: every sweep has labels')
        return self
