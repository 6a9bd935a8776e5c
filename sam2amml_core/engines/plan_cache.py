"""Built engines on disk: a plan per bundle and precision, with the key it was built for; rebuilt when that differs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sam2amml_core.errors import EngineError

logger = logging.getLogger(__name__)


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/sam2amml``, else ``~/.cache/sam2amml``."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'sam2amml'


class PlanCache:
    """Plans in ``folder``: ``NAME.plan`` and ``NAME.json`` with its key and the plan's SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f'{name}.plan'

    def why_not(self, name: str, key: Mapping[str, Any]) -> str:
        """Why the plan on disk cannot be used for ``key``; empty if it can."""
        file = self.path(name).with_suffix('.json')
        if not (self.path(name).is_file() and file.is_file()):
            return 'none has been built yet'
        try:
            content = json.loads(file.read_text(encoding='utf-8'))
            built, digest = dict(content['key']), content['sha256']
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f'{file} cannot be read ({error})'
        wanted = json.loads(json.dumps(dict(key)))
        changed = [f'{field} is {wanted.get(field)!r}, the plan was built for {built.get(field)!r}'
                   for field in sorted({*wanted, *built}) if wanted.get(field) != built.get(field)]
        if changed:
            return '; '.join(changed)
        found = hashlib.sha256(self.path(name).read_bytes()).hexdigest()
        return '' if found == digest else 'the file is damaged (SHA-256 differs)'

    def get(self, name: str, key: Mapping[str, Any], build: Callable[[], bytes]) -> bytes:
        """The plan for ``key``: from disk, or built, written atomically and returned; the reason is logged.

        Raises ``EngineError`` if the folder cannot be written, and whatever ``build`` raises.
        """
        reason = self.why_not(name, key)
        if not reason:
            return self.path(name).read_bytes()
        logger.warning('building %s, which takes minutes: %s', self.path(name), reason)
        plan = build()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path(name).with_suffix('.json').unlink(missing_ok=True)  # never a new plan beside an old key
            self._write(self.path(name), plan)
            content = {'key': dict(key), 'sha256': hashlib.sha256(plan).hexdigest()}
            self._write(self.path(name).with_suffix('.json'), (json.dumps(content, indent=2) + '\n').encode())
        except OSError as error:
            raise EngineError(f'cannot write {self.path(name)}: {error}; '
                              'give a cache folder you may write to') from error
        return plan

    def _write(self, path: Path, data: bytes) -> None:
        handle, scratch = tempfile.mkstemp(dir=self.folder, prefix=f'.{path.name}.')
        try:
            with os.fdopen(handle, 'wb') as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
