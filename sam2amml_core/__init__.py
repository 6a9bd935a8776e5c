"""Core of sam2amml: frames, geometry, masks, LiDAR networks and inference, with numpy and ONNX Runtime only."""
