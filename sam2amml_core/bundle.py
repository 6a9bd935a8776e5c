"""A model bundle on disk: a folder with ``model.onnx`` and ``bundle.yaml``, all that is needed to run a network.

The YAML file says which classes the network tells apart and in which colours to draw them, for which LiDAR it was
made, how its inputs are normalised, the SHA-256 of the ONNX file, and where the weights come from.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam2amml_core.errors import BundleError, InputError
from sam2amml_core.labels import ClassSchema, is_known, own_schema
from sam2amml_core.labels import schema as find_schema
from sam2amml_core.lidar.input_spec import InputSpec, RangeInput

FORMAT_VERSION = 1
BUNDLE_FILE = 'bundle.yaml'
ONNX_FILE = 'model.onnx'
WEIGHTS_FILE = 'weights.pt'
MODELS_FOLDER = Path(__file__).parent / 'models'
"""Where the bundles shipped with the package lie; ``load_bundle('street64')`` looks here."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class SensorGeometry(_Strict):
    """The LiDAR a network was made for and the image its sweeps are sorted into.

    Row 0 of the image is ``fov_up_deg``, the last row ends at ``fov_down_deg``; columns go round the full circle.
    Points up to ``fov_margin_deg`` outside the field of view count to the first or last row, others are unknown.
    """

    beams: int = Field(gt=0)
    fov_up_deg: float = Field(ge=-90, le=90)
    fov_down_deg: float = Field(ge=-90, le=90)
    fov_margin_deg: float = Field(default=3.0, ge=0, le=30)
    image_height: int = Field(gt=0, le=4096)
    image_width: int = Field(gt=0, le=65536)
    min_range_m: float = Field(default=1.0, ge=0)
    max_range_m: float = Field(default=120.0, gt=0)
    sensor_height_m: float = Field(gt=0)

    @model_validator(mode='after')
    def _ordered(self) -> SensorGeometry:
        if self.fov_up_deg <= self.fov_down_deg:
            raise ValueError(f'fov_up_deg {self.fov_up_deg} must lie above fov_down_deg {self.fov_down_deg}')
        if self.max_range_m <= self.min_range_m:
            raise ValueError(f'max_range_m {self.max_range_m} must exceed min_range_m {self.min_range_m}')
        return self

    @property
    def pixels(self) -> int:
        """Cells of the image."""
        return self.image_height * self.image_width

    @property
    def beam_spacing_rad(self) -> float:
        """Between neighbouring beams, radians, as if they were evenly spread."""
        return math.radians(self.fov_up_deg - self.fov_down_deg) / self.beams


class Normalisation(_Strict):
    """``(feature - mean) / std`` for each feature by name: ``range_view.FEATURES`` or those of ``preparation``."""

    mean: dict[str, float]
    std: dict[str, float]

    @model_validator(mode='after')
    def _complete(self) -> Normalisation:
        if self.mean.keys() != self.std.keys():
            raise ValueError(f'mean names {sorted(self.mean)} but std names {sorted(self.std)}')
        bad = [k for k, v in self.std.items() if not (v > 0 and math.isfinite(v))]
        if bad:
            raise ValueError(f'std of {bad} must be positive')
        return self


class ClassEntry(_Strict):
    """A class by its train id (the position in the list), its name and its RGB colour.

    ``raw``, the id written for it, stands in bundles for classes of somebody's own; others have that of their schema.
    """

    name: str
    color: tuple[int, int, int]
    raw: int | None = Field(default=None, ge=0, le=65535)


class Provenance(_Strict):
    """Where the weights come from."""

    command: str = ''
    seed: int | None = None
    commit: str = ''
    data: str = ''
    created: str = ''
    steps: int | None = None
    train_minutes: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class BundleSpec(_Strict):
    """The content of ``bundle.yaml``.

    profile   smallest, typical and largest number of points or voxels an engine is built for, where not the default
    backbone  name in ``lidar.backbones.catalogue`` of the network, if its torch weights lie in ``weights.pt``
    """

    format_version: Literal[1] = 1
    name: str = Field(pattern=r'^[A-Za-z0-9_.-]+$')
    schema_name: str
    classes: tuple[ClassEntry, ...]
    sensor: SensorGeometry
    normalisation: Normalisation
    input: InputSpec = RangeInput()
    profile: dict[str, tuple[int, int, int]] = Field(default_factory=dict)
    backbone: str = ''
    weights_sha256: str = Field(default='', pattern=r'^([0-9a-f]{64})?$')
    onnx_file: str = ONNX_FILE
    onnx_sha256: str = Field(pattern=r'^[0-9a-f]{64}$')
    provenance: Provenance = Provenance()


class ModelBundle:
    """A checked bundle: its specification, class schema and the path of its ONNX file."""

    def __init__(self, path: Path, spec: BundleSpec, schema: ClassSchema) -> None:
        self.path = path
        self.spec = spec
        self.schema = schema

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def sensor(self) -> SensorGeometry:
        return self.spec.sensor

    @property
    def normalisation(self) -> Normalisation:
        return self.spec.normalisation

    @property
    def input(self) -> InputSpec:
        """How sweeps are prepared for the network."""
        return self.spec.input

    @property
    def onnx_path(self) -> Path:
        return self.path / self.spec.onnx_file

    def __repr__(self) -> str:
        return f'ModelBundle({self.name!r}, {str(self.path)!r})'


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def class_entries(schema: ClassSchema) -> tuple[ClassEntry, ...]:
    """The classes of a schema as they stand in ``bundle.yaml``."""
    raw: list[int] | list[None] = [None] * len(schema) if is_known(schema.name) else schema.train_to_raw.tolist()
    return tuple(
        ClassEntry(name=name, color=(int(r), int(g), int(b)), raw=written)
        for name, (r, g, b), written in zip(schema.names, schema.colors, raw, strict=True)
    )


def shipped_bundles() -> list[str]:
    """Names of the bundles that come with the package."""
    if not MODELS_FOLDER.is_dir():
        return []
    return sorted(p.parent.name for p in MODELS_FOLDER.glob(f'*/{BUNDLE_FILE}'))


def load_bundle(path_or_name: str | os.PathLike[str]) -> ModelBundle:
    """Open a bundle by the path of its folder, or by name if it is shipped with the package.

    Raises ``BundleError``, naming the file and the remedy, if a file is missing or unreadable, the YAML is corrupt or
    of another format version, the ONNX file is not the one described (SHA-256), or the classes are not the schema's.
    """
    folder = _find(path_or_name)
    file = folder / BUNDLE_FILE
    spec = _read_spec(file)
    schema = _check_classes(spec, file)
    bundle = ModelBundle(folder, spec, schema)
    if not bundle.onnx_path.is_file():
        raise BundleError(f'{bundle.onnx_path} is missing; copy the whole bundle folder or export the model again')
    found = sha256_of(bundle.onnx_path)
    if found != spec.onnx_sha256:
        raise BundleError(
            f'{bundle.onnx_path} has SHA-256 {found[:12]}..., {file} expects {spec.onnx_sha256[:12]}...: the file is '
            'truncated or belongs to another bundle; copy the bundle folder again (git lfs not fetched?) or re-export'
        )
    return bundle


def write_bundle(folder: str | os.PathLike[str], onnx: str | os.PathLike[str], name: str, schema: ClassSchema,
                 sensor: SensorGeometry, normalisation: Normalisation, provenance: Provenance,
                 input_spec: InputSpec | None = None, backbone: str = '',
                 weights: str | os.PathLike[str] | None = None) -> ModelBundle:
    """Write a bundle folder from an ONNX file: complete or not at all; an older bundle there is replaced.

    ``weights`` are those of the catalogue's network ``backbone`` (a torch state dict), for the torch engine.

    Raises ``BundleError`` if the folder cannot be written or holds something that is not a bundle.
    """
    target, source = Path(folder), Path(onnx)
    if target.exists() and not (target / BUNDLE_FILE).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(f'{target} exists and is not a model bundle; choose another folder')
    try:
        spec = BundleSpec(name=name, schema_name=schema.name, classes=class_entries(schema), sensor=sensor,
                          normalisation=normalisation, input=input_spec or RangeInput(), onnx_sha256=sha256_of(source),
                          backbone=backbone if weights is not None else '',
                          weights_sha256=sha256_of(Path(weights)) if weights is not None else '',
                          provenance=provenance)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}.') as scratch:
            staged = Path(scratch) / 'new'
            staged.mkdir()
            shutil.copyfile(source, staged / ONNX_FILE)
            if weights is not None:
                shutil.copyfile(weights, staged / WEIGHTS_FILE)
            content = spec.model_dump(mode='json')
            content['classes'] = [{k: v for k, v in entry.items() if v is not None} for entry in content['classes']]
            text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
            (staged / BUNDLE_FILE).write_text(text, encoding='utf-8')
            if target.exists():
                target.rename(Path(scratch) / 'old')
            staged.rename(target)
    except ValidationError as error:
        raise BundleError(f'bundle {name!r}: {_explain(error)}') from error
    except OSError as error:
        raise BundleError(f'cannot write bundle {target}: {error}; choose a folder you may write to') from error
    return load_bundle(target)


def _find(path_or_name: str | os.PathLike[str]) -> Path:
    path = Path(path_or_name)
    if path.is_dir():
        return path
    shipped = MODELS_FOLDER / path
    if len(path.parts) == 1 and shipped.is_dir():
        return shipped
    known = ', '.join(shipped_bundles()) or 'none'
    raise BundleError(f'no model bundle {str(path_or_name)!r}: not a folder, nor shipped with the package ({known}); '
                      'give the folder that holds bundle.yaml')


def _read_spec(file: Path) -> BundleSpec:
    try:
        text = file.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f'cannot read {file}: {error}; a bundle holds {BUNDLE_FILE} and {ONNX_FILE}') from error
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        cause = ' '.join(str(error).split())
        raise BundleError(f'{file} is not valid YAML ({cause}); copy the bundle or export the model again') from error
    if not isinstance(content, Mapping):
        raise BundleError(f'{file} is not a bundle description; export the model again')
    version = content.get('format_version')
    if version != FORMAT_VERSION:
        raise BundleError(f'{file} has format_version {version!r}, this software reads {FORMAT_VERSION}; '
                          'export the model again or install the matching release')
    try:
        spec = BundleSpec.model_validate(content)
    except ValidationError as error:
        raise BundleError(f'{file}: {_explain(error)}; correct it or export the model again') from error
    if Path(spec.onnx_file).name != spec.onnx_file:
        raise BundleError(f'{file}: onnx_file {spec.onnx_file!r} must lie in the bundle folder itself')
    return spec


def _check_classes(spec: BundleSpec, file: Path) -> ClassSchema:
    if not is_known(spec.schema_name) and spec.classes and all(entry.raw is not None for entry in spec.classes):
        return own_schema(spec.schema_name, [(e.name, e.color, e.raw or 0) for e in spec.classes])
    try:
        schema = find_schema(spec.schema_name)
    except InputError as error:
        raise BundleError(f'{file}: {error}') from error
    names = tuple(entry.name for entry in spec.classes)
    if names != tuple(schema.names):
        wrong = [f'{i}: {a!r} here, {b!r} in the schema'
                 for i, (a, b) in enumerate(zip(names, schema.names, strict=False)) if a != b]
        detail = '; '.join(wrong[:3]) or f'{len(names)} classes here, {len(schema.names)} in the schema'
        raise BundleError(f'{file}: classes differ from schema {schema.name!r} ({detail}); '
                          'export the model again with this schema')
    return schema


def _explain(error: ValidationError) -> str:
    return '; '.join(f'{".".join(map(str, e["loc"])) or "bundle"}: {e["msg"]}' for e in error.errors()[:5])
