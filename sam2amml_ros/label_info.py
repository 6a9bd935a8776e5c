"""What the class ids in the output mean, as latched topics: no subscriber needs to know the model.

``~/output/class_map`` is a std_msgs/String with JSON; where vision_msgs is installed ``~/output/label_info`` is a
vision_msgs/LabelInfo too.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.frame import UNKNOWN
from sam2amml_ros.transforms import LATCHED

SOURCES = {'0': 'LiDAR alone', '1': 'confirmed by a camera', '2': 'changed by a camera'}


def class_map(bundle: ModelBundle) -> dict[str, Any]:
    """The JSON's content: model, schema, classes (id, name, color RGB, as in the visualization), unknown, source."""
    schema = bundle.schema
    classes = [{'id': index, 'name': name, 'color': [int(c) for c in schema.colors[index]]}
               for index, name in enumerate(schema.names) if index]
    return {'model': bundle.name, 'schema': schema.name, 'classes': classes, 'unknown': UNKNOWN, 'source': SOURCES}


def publish_label_info(node: Node, bundle: ModelBundle, threshold: float) -> list[Any]:
    """Say it once to everyone, now and later; returns the publishers, for their owner to destroy."""
    publisher = node.create_publisher(String, '~/output/class_map', LATCHED)
    publisher.publish(String(data=json.dumps(class_map(bundle))))
    made = [publisher]
    if importlib.util.find_spec('vision_msgs') is not None:
        from vision_msgs.msg import LabelInfo, VisionClass

        info = LabelInfo(threshold=threshold)
        info.header.stamp = node.get_clock().now().to_msg()
        info.class_map = [VisionClass(class_id=entry['id'], class_name=entry['name'])
                          for entry in class_map(bundle)['classes']]
        made.append(node.create_publisher(LabelInfo, '~/output/label_info', LATCHED))
        made[-1].publish(info)
    return made
