"""ROS 2 nodes of sam2amml: messages in, messages out; the work is done in ``sam2amml_core``."""
