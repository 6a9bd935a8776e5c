"""Message classes by the name bags have them under, and QoS as bags store it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from sam2amml_core.errors import InputError


def message_class(name: str) -> Any:
    """The class of e.g. ``sensor_msgs/msg/PointCloud2``. Raises InputError when its package is not installed."""
    package, _, short = name.partition('/')
    kind = short.rsplit('/', 1)[-1]
    try:
        return getattr(import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError) as error:
        raise InputError(f'message type {name} is not installed here; install the package {package}') from error


def has_header(kind: Any) -> bool:
    """Its first field is a std_msgs/Header, so the stamp lies at the start of the serialised message."""
    return next(iter(kind.get_fields_and_field_types().items()), None) == ('header', 'std_msgs/Header')


def offered_qos(profiles: list[Any], depth: int = 10) -> QoSProfile:
    """The QoS a topic was recorded with; reliable and volatile when the bag does not say. At least ``depth`` deep."""
    latched = any(p.durability.name == 'TRANSIENT_LOCAL' for p in profiles)
    best_effort = any(p.reliability.name == 'BEST_EFFORT' for p in profiles)
    return QoSProfile(depth=max([depth, *(p.depth for p in profiles)]),
                      reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
