"""Start the segmentation node with its parameter file and transports that lose no point clouds.

ros2 launch sam2amml segmentation.launch.py pointcloud:=/lidar/points camera_names:=front,left rviz:=true
ros2 launch sam2amml segmentation.launch.py bag:=street camera_names:=image_2
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('sam2amml'))
PARTS = ('image', 'image/compressed', 'camera_info', 'extrinsics')


def generate_launch_description() -> LaunchDescription:
    """All arguments; the nodes themselves need their values, so they are made when they are known."""
    return LaunchDescription([
        DeclareLaunchArgument('params_file', default_value=str(SHARE / 'config' / 'segmentation.param.yaml'),
                              description='parameters of the node'),
        DeclareLaunchArgument('model', default_value='', description='model bundle; empty = that of params_file'),
        DeclareLaunchArgument('pointcloud', default_value='/lidar/points', description='topic of the LiDAR'),
        DeclareLaunchArgument('odometry', default_value='/odometry', description='topic of the odometry'),
        DeclareLaunchArgument('camera_names', default_value='',
                              description='cameras, comma-separated; topics /NAME/image and /NAME/camera_info'),
        DeclareLaunchArgument('masks', default_value='', description=(
            'start mask_node too, which cuts images by this: slic, felzenszwalb, outlines or lidar; empty = no masks')),
        DeclareLaunchArgument('autostart', default_value='true',
                              description='false: configure and activate it by ros2 lifecycle or a manager'),
        DeclareLaunchArgument('bag', default_value='', description='play this bag too, with its time as /clock'),
        DeclareLaunchArgument('rate', default_value='1.0', description='speed at which the bag is played'),
        DeclareLaunchArgument('loop', default_value='false', description='play the bag again and again'),
        DeclareLaunchArgument('use_sim_time', default_value='',
                              description='take the time from /clock; empty = when a bag is played'),
        DeclareLaunchArgument('log_level', default_value='info', description='debug, info, warn, error'),
        DeclareLaunchArgument('rviz', default_value='false', description='start RViz too'),
        # a profile that the user has set already is kept
        SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', EnvironmentVariable(
            'FASTDDS_DEFAULT_PROFILES_FILE', default_value=str(SHARE / 'config' / 'fastdds_profile.xml'))),
        OpaqueFunction(function=nodes),
        Node(package='rviz2', executable='rviz2', name='rviz2', condition=IfCondition(LaunchConfiguration('rviz')),
             arguments=['-d', str(SHARE / 'rviz' / 'segmentation.rviz')]),
    ])


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node with topics remapped to those of the vehicle, and the player if there is a bag."""
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    cameras = [name.strip() for name in value('camera_names').split(',') if name.strip()]
    remappings = [('~/input/pointcloud', value('pointcloud')), ('~/input/odometry', value('odometry'))]
    remappings += [(f'~/input/{name}/{part}', f'/{name}/{part}') for name in cameras for part in PARTS]
    bag = value('bag')
    own: dict[str, object] = {'use_sim_time': (value('use_sim_time') or str(bool(bag))).lower() == 'true',
                              'autostart': value('autostart').lower() == 'true'}
    if cameras:
        own['camera_names'] = cameras
    if value('model'):
        own['model'] = value('model')
    masks = value('masks')
    made: list[LaunchDescriptionEntity] = []
    if masks:
        own['mask_tolerance_ms'] = 600.0
        made.append(Node(package='sam2amml', executable='mask_node', name='mask_node', output='screen',
                         parameters=[{'use_sim_time': own['use_sim_time'], 'autostart': own['autostart'],
                                      'generator': masks, 'camera_names': cameras or ['']}],
                         remappings=list(remappings), arguments=['--ros-args', '--log-level', value('log_level')]))
        remappings += [(f'~/input/{name}/masks', f'/mask_node/output/{name}/masks') for name in cameras]
    made.append(
        Node(package='sam2amml', executable='segmentation_node', name='segmentation_node', output='screen',
             parameters=[value('params_file'), own], remappings=remappings,
             arguments=['--ros-args', '--log-level', value('log_level')]))
    if bag:
        made.append(IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'playback.launch.py')),
            launch_arguments={'bag': bag, 'rate': value('rate'), 'loop': value('loop'), 'clock': 'true',
                              'wait_for': value('pointcloud')}.items()))
    return made
