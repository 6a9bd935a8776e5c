"""Environment of ROS processes that exchange large messages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE_NAME, SMALL_PROFILE_NAME = 'fastdds_profile.xml', 'fastdds_profile_small.xml'
ROOMY_BYTES = 2 << 30
"""Free shared memory from which each process may reserve 256 MB of it."""

SHARED_MEMORY = Path('/dev/shm')


def profile_path() -> Path | None:
    """The shipped Fast DDS profile that fits this machine's shared memory; None if the files are not installed.

    Looked for in the source tree, then in the installed package.
    """
    name = PROFILE_NAME if free_shared_memory() >= ROOMY_BYTES else SMALL_PROFILE_NAME
    here = Path(__file__).resolve().parent.parent / 'config' / name
    installed = [Path(prefix) / 'share' / 'sam2amml' / 'config' / name
                 for prefix in (*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix) if prefix]
    return next((path for path in (here, *installed) if path.is_file()), None)


def free_shared_memory() -> int:
    """Bytes free in /dev/shm; 0 where there is none."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return 0


def environment(domain_id: int | None = None, own_profile: bool = True) -> dict[str, str]:
    """This process's environment for child processes: the transport profile unless the user set one, and a domain.

    With a domain, discovery stays on this machine.
    """
    result = dict(os.environ)
    path = profile_path()
    if own_profile and path is not None:
        result.setdefault(PROFILE_VARIABLE, str(path))
    if domain_id is not None:
        result['ROS_DOMAIN_ID'] = str(domain_id)
        result['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    result['PYTHONUNBUFFERED'] = '1'
    return result
