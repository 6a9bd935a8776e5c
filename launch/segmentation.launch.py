"""Start the segmentation node with its parameter file and transports that lose no point clouds.

ros2 launch sam2amml segmentation.launch.py pointcloud:=/lidar/points camera_names:=front,left rviz:=true
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('sam2amml'))


def generate_launch_description() -> LaunchDescription:
    """All arguments; the node itself needs their values, so it is made when they are known."""
    return LaunchDescription([
        DeclareLaunchArgument('params_file', default_value=str(SHARE / 'config' / 'segmentation.param.yaml'),
                              description='parameters of the node'),
        DeclareLaunchArgument('pointcloud', default_value='/lidar/points', description='topic of the LiDAR'),
        DeclareLaunchArgument('camera_names', default_value='',
                              description='cameras, comma-separated; topics /NAME/image and /NAME/camera_info'),
        DeclareLaunchArgument('use_sim_time', default_value='false', description='take the time from /clock'),
        DeclareLaunchArgument('log_level', default_value='info', description='debug, info, warn, error'),
        DeclareLaunchArgument('rviz', default_value='false', description='start RViz too'),
        # a profile that the user has set already is kept
        SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', EnvironmentVariable(
            'FASTDDS_DEFAULT_PROFILES_FILE', default_value=str(SHARE / 'config' / 'fastdds_profile.xml'))),
        OpaqueFunction(function=segmentation_node),
        Node(package='rviz2', executable='rviz2', name='rviz2', condition=IfCondition(LaunchConfiguration('rviz')),
             arguments=['-d', str(SHARE / 'rviz' / 'segmentation.rviz')]),
    ])


def segmentation_node(context: LaunchContext) -> list[Node]:
    """The node with topics remapped to those of the vehicle."""
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    cameras = [name.strip() for name in value('camera_names').split(',') if name.strip()]
    remappings = [('~/input/pointcloud', value('pointcloud'))]
    for name in cameras:
        remappings += [(f'~/input/{name}/{part}', f'/{name}/{part}')
                       for part in ('image', 'image/compressed', 'camera_info', 'extrinsics')]
    parameters = [value('params_file'), {'use_sim_time': value('use_sim_time').lower() == 'true'}]
    if cameras:
        parameters.append({'camera_names': cameras})
    return [Node(package='sam2amml', executable='segmentation_node', name='segmentation_node', output='screen',
                 parameters=parameters, remappings=remappings,
                 arguments=['--ros-args', '--log-level', value('log_level')])]
