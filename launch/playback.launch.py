"""Play a bag with the transports that lose no point clouds; also where ``ros2 bag play`` is not installed.

ros2 launch sam2amml playback.launch.py bag:=street rate:=0.5 loop:=true clock:=true
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('sam2amml'))


def generate_launch_description() -> LaunchDescription:
    """All arguments are parameters of playback_node."""
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='folder or file of the bag'),
        DeclareLaunchArgument('rate', default_value='1.0', description='speed'),
        DeclareLaunchArgument('loop', default_value='false', description='begin again at the end'),
        DeclareLaunchArgument('start_s', default_value='0.0', description='begin this long after the start of the bag'),
        DeclareLaunchArgument('clock', default_value='false', description='publish /clock'),
        DeclareLaunchArgument('stamp', default_value='recorded', description='header stamps: recorded, shifted, now'),
        DeclareLaunchArgument('wait_for', default_value='',
                              description='topics, comma-separated, that must have a subscriber before it begins'),
        SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', EnvironmentVariable(
            'FASTDDS_DEFAULT_PROFILES_FILE', default_value=str(SHARE / 'config' / 'fastdds_profile.xml'))),
        OpaqueFunction(function=player),
    ])


def player(context: LaunchContext) -> list[Node]:
    """The node, with its parameters in their own types."""
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    parameters = {'bag': value('bag'), 'rate': float(value('rate')), 'loop': value('loop').lower() == 'true',
                  'start_s': float(value('start_s')), 'clock': value('clock').lower() == 'true',
                  'stamp': value('stamp'), 'wait_for': value('wait_for').split(',')}
    return [Node(package='sam2amml', executable='playback_node', name='playback_node', output='screen',
                 parameters=[parameters])]
