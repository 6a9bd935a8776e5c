"""Recipes on disk: YAML files that change the defaults, and ``key=value`` that change the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sam2amml_core.errors import InputError
from training.recipe import Recipe

FOLDER = Path(__file__).parent / 'recipes'
"""The recipes that come with the package."""


def shipped_recipes() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in FOLDER.glob('*.yaml'))


def find_recipe(name: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or of a shipped name, with ``changes`` such as ``loop.seed=3`` or ``data.masks=null``.

    Raises InputError when there is none, or naming each entry that is wrong.
    """
    path = Path(name)
    if not path.is_file():
        path = FOLDER / f'{name}.yaml'
    if not path.is_file():
        raise InputError(f'no recipe {str(name)!r}: neither a YAML file nor one of {", ".join(shipped_recipes())}')
    return recipe_from(read_yaml(path), str(path), changes)


def recipe_from(content: dict[str, Any], source: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe from the content of a file. Raises InputError naming each entry that is wrong."""
    for change in changes:
        key, equals, value = change.partition('=')
        if not equals or not key.strip():
            raise InputError(f'--set {change!r} is not of the form key=value, such as loop.seed=3')
        _put(content, key.strip().split('.'), _value(value, change), change)
    if isinstance(content.get('augmentation'), dict):
        content['augmentation'].setdefault('kind', 'house')
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        lines = (f'{".".join(map(str, e["loc"])) or "recipe"}: {e["msg"].removeprefix("Value error, ")}'
                 for e in error.errors()[:6])
        raise InputError(f'recipe {source}: {"; ".join(lines)}') from error


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML that ``find_recipe`` reads."""
    return yaml.safe_dump(recipe.model_dump(mode='json', by_alias=True), sort_keys=False, width=110)


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file. Raises InputError."""
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f'{path} cannot be read: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise InputError(f'{path} is no recipe: it holds no mapping')
    return content


def _value(text: str, change: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f'--set {change!r}: the value is not valid YAML') from error
    if isinstance(value, str):  # YAML 1.1 reads 4e-3 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _put(content: dict[str, Any], keys: list[str], value: Any, change: str) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f'--set {change!r}: {key} has no entries')
        content = inner
    if keys[-1] in ('steps', 'epochs'):  # one replaces the other
        content.pop({'steps': 'epochs', 'epochs': 'steps'}[keys[-1]], None)
    content[keys[-1]] = value
