"""Packaging, for pip and for colcon (ament_python) alike. Pins of every dependency: constraints.txt."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'sam2amml'
HERE = Path(__file__).parent


def files(folder: str) -> list[str]:
    """Paths of the files in a folder of this repository, relative to it."""
    return sorted(path.relative_to(HERE).as_posix() for path in (HERE / folder).iterdir() if path.is_file())


ROS = [
    'ros-rclpy[fastrtps]>=9.1',
    'ros-sensor-msgs>=5.5',
    'ros-geometry-msgs>=5.5',
    'ros-std-msgs>=5.5',
    'ros-std-srvs>=5.5',
    'ros-diagnostic-msgs>=5.5',
    'ros-visualization-msgs>=5.5',
    'ros-nav-msgs>=5.5',
]
WORLD = ['embreex>=4.4']
TRAIN = [*WORLD, 'torch>=2.6', 'onnx>=1.18', 'onnxscript>=0.5', 'lightning>=2.5', 'scipy>=1.11', 'tensorboard>=2.18']
MASKS = ['scikit-image>=0.24', 'scipy>=1.11']
SAM2 = [*MASKS, 'sam2==1.1.0', 'torch>=2.6', 'torchvision>=0.21']  # build with --no-build-isolation, see Makefile
COLCON = ['colcon-core>=0.18', 'colcon-ros>=0.5', 'colcon-package-selection>=0.2']
DEV = [
    *COLCON, 'hypothesis>=6.100', 'mypy>=1.15', 'pytest>=8', 'pytest-timeout>=2.3', 'ruff>=0.9', 'types-PyYAML>=6',
    'spconv>=2.3.6',  # its CPU build: what our sparse convolutions are measured against
]

setup(
    name=NAME,
    version='0.1.0',
    description='Labels every LiDAR point of a moving vehicle in real time, helped by cameras; trains the networks.',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='sam2amml maintainers',
    maintainer='sam2amml maintainers',
    maintainer_email='maintainers@sam2amml.invalid',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['sam2amml_core*', 'sam2amml_ros*', 'training*']),
    package_data={'sam2amml_core': ['py.typed', 'models/*/*'], 'sam2amml_ros': ['py.typed'],
                  'training': ['py.typed', 'recipes/*.yaml']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *((f'share/{NAME}/{folder}', files(folder)) for folder in ('launch', 'config', 'rviz')),
    ],
    zip_safe=False,
    install_requires=[
        'numpy>=2.0',
        'onnxruntime>=1.20',
        'opencv-python-headless>=4.10',
        'pydantic>=2.7',
        'PyYAML>=6.0',
        'rich>=13.7',
        'rosbags>=0.10.9',
        'typer>=0.12',
    ],
    extras_require={
        'ros': ROS,  # not needed where a ROS 2 distribution brings these
        'openvino': ['openvino>=2025.0'],
        'world': WORLD,
        'train': TRAIN,
        'masks': MASKS,
        'sam2': SAM2,
        'scale': ['ray>=2.40'],
        'viz': [],
        'dev': DEV,
    },
    entry_points={'console_scripts': [
        'sam2amml = training.cli:main',
        *(f'{node} = sam2amml_ros.{node}:main' for node in
          ('segmentation_node', 'mask_node', 'playback_node', 'recorder_node')),
    ]},
)
