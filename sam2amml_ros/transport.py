"""Environment of ROS processes that exchange large messages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE_NAME = 'fastdds_profile.xml'


def profile_path() -> Path | None:
    """The shipped Fast DDS profile: of the source tree, else of the installed package; None if it is in neither."""
    here = Path(__file__).resolve().parent.parent / 'config' / PROFILE_NAME
    installed = [Path(prefix) / 'share' / 'sam2amml' / 'config' / PROFILE_NAME
                 for prefix in (*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix) if prefix]
    return next((path for path in (here, *installed) if path.is_file()), None)


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
