"""Builds the package with colcon and checks the installed tree as ROS sees it: ``make colcon``.

Usage: ``python tests/colcon_install.py FOLDER``. Ends with a message and status 1 at the first thing that is wrong.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = 'sam2amml'
SHARED = ('package.xml', 'launch/segmentation.launch.py', 'launch/playback.launch.py', 'config/segmentation.param.yaml',
          'config/fastdds_profile.xml', 'rviz/segmentation.rviz')
EXECUTABLES = ('segmentation_node', 'playback_node', 'recorder_node', 'sam2amml')
READY_S = 60.0


def build(folder: Path) -> Path:
    """Build into an emptied folder; returns the prefix the package was installed to."""
    shutil.rmtree(folder, ignore_errors=True)
    colcon = shutil.which('colcon', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if colcon is None:
        raise SystemExit('colcon is not installed: pip install -e ".[dev]"')
    done = subprocess.run(
        [colcon, '--log-base', str(folder / 'log'), 'build', '--base-paths', str(ROOT), '--packages-select', PACKAGE,
         '--build-base', str(folder / 'build'), '--install-base', str(folder / 'install')],
        cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f'colcon build failed:\n{done.stdout}{done.stderr}')
    return folder / 'install' / PACKAGE


def sourced(prefix: Path) -> dict[str, str]:
    """The environment after ``. install/setup.sh``, as in a user's shell."""
    script = f'. "{prefix.parent / "setup.sh"}" && env -0'
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True)
    return dict(entry.split('=', 1) for entry in done.stdout.split('\0') if '=' in entry)


def check_tree(prefix: Path, env: dict[str, str]) -> None:
    """Launch files, parameters, RViz's view, models and executables are where ROS looks for them."""
    wanted = [*(prefix / 'share' / PACKAGE / name for name in SHARED),
              *(prefix / 'lib' / PACKAGE / name for name in EXECUTABLES),
              prefix / 'share/ament_index/resource_index/packages' / PACKAGE]
    for path in wanted:
        if not path.is_file():
            raise SystemExit(f'the installed package lacks {path.relative_to(prefix)}')
    code = ('from pathlib import Path; import sam2amml_ros; from sam2amml_core.bundle import load_bundle;'
            'from ament_index_python.packages import get_package_share_directory as share;'
            f'print(Path(sam2amml_ros.__file__).parents[1], share("{PACKAGE}"), load_bundle("street32").path,'
            r'sep="\n")')
    done = subprocess.run([sys.executable, '-c', code], cwd=prefix, env=env, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise SystemExit(f'the installed package cannot be imported:\n{done.stderr}')
    for path in map(Path, done.stdout.split('\n')[:3]):
        if prefix.resolve() not in path.resolve().parents:
            raise SystemExit(f'{path} is used instead of what colcon installed to {prefix}')


def check_nodes(prefix: Path, env: dict[str, str]) -> None:
    """The installed node becomes ready with the installed parameters, and ends when it is told to."""
    share, lib = prefix / 'share' / PACKAGE, prefix / 'lib' / PACKAGE
    env = env | {'FASTDDS_DEFAULT_PROFILES_FILE': str(share / 'config' / 'fastdds_profile.xml'),
                 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': str(1 + os.getpid() % 101)}
    arguments = ['--ros-args', '--params-file', str(share / 'config' / 'segmentation.param.yaml')]
    node = subprocess.Popen([lib / 'segmentation_node', *arguments], cwd=prefix, env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    try:
        log = _read_until(node, 'ready: ')
    finally:
        node.send_signal(signal.SIGINT)
        status = node.wait(20)
    if status:
        raise SystemExit(f'the installed segmentation_node ended with status {status}:\n{log}')
    player = subprocess.run([lib / 'playback_node'], cwd=prefix, env=env, capture_output=True, text=True, timeout=60,
                            check=False)
    if player.returncode == 0 or 'parameter bag is empty' not in player.stdout + player.stderr:
        raise SystemExit(f'the installed playback_node does not ask for its bag:\n{player.stdout}{player.stderr}')


def _read_until(process: subprocess.Popen[bytes], text: str) -> str:
    """What a process prints until it says ``text``."""
    if process.stdout is None:
        raise ValueError('the process needs a pipe')
    log, end = '', time.monotonic() + READY_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while text not in log:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise SystemExit(f'the installed node did not say "{text}" within {READY_S:g} s:\n{log}')
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                raise SystemExit(f'the installed node ended before it said "{text}":\n{log}')
            log += chunk.decode(errors='replace')
    return log


def main() -> None:
    prefix = build(Path(sys.argv[1]).resolve())
    env = sourced(prefix)
    check_tree(prefix, env)
    check_nodes(prefix, env)
    sys.stdout.write(f'colcon: {len(SHARED)} shared files and {len(EXECUTABLES)} executables are where ROS looks; '
                     'the installed node starts and ends\n')


if __name__ == '__main__':
    main()
