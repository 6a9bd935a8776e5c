"""A machine without TensorRT in the role of one with it: its objects with documented names only, run by ONNX Runtime.

It shows that our side hands over the right shapes, addresses and files. It shows nothing about TensorRT itself.
"""

from __future__ import annotations

import ctypes
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

NUMPY: dict[int, Any] = {
    int(onnx.TensorProto.FLOAT): np.float32, int(onnx.TensorProto.INT64): np.int64,
    int(onnx.TensorProto.INT32): np.int32, int(onnx.TensorProto.UINT8): np.uint8}


class StandIn:
    """The module ``tensorrt``. ``refuses_class_id``: graphs cannot be built with that output; ``builds`` counts."""

    def __init__(self, version: str = '10.3.0', refuses_class_id: bool = False) -> None:
        self.__version__ = version
        self.refuses_class_id = refuses_class_id
        self.builds = 0
        self.profiles: list[dict[str, tuple]] = []
        self.flags: list[str] = []
        self.MemoryPoolType = SimpleNamespace(WORKSPACE='workspace')
        self.BuilderFlag = SimpleNamespace(**({'FP16': 'half'} if version.startswith('10') else {}))
        self.TensorIOMode = SimpleNamespace(INPUT='in', OUTPUT='out')
        self.Logger = type('Logger', (), {'WARNING': 1, '__init__': lambda self, severity: None})

    def nptype(self, kind: int) -> type:
        return NUMPY[kind]

    def Builder(self, log: Any) -> Any:
        network = SimpleNamespace(path='', inputs=[], outputs=[])
        network.get_input, network.get_output = (lambda i: network.inputs[i]), (lambda i: network.outputs[i])

        def unmark(tensor: Any) -> None:
            network.outputs.remove(tensor)
            network.num_outputs -= 1

        def build(network: Any, config: Any) -> bytes | None:
            self.builds += 1
            names = [tensor.name for tensor in network.outputs]
            if self.refuses_class_id and 'class_id' in names:
                return None
            return json.dumps({'path': network.path, 'outputs': names}).encode()

        network.unmark_output = unmark
        config = SimpleNamespace(set_memory_pool_limit=lambda pool, size: None, set_flag=self.flags.append,
                                 add_optimization_profile=lambda profile: self.profiles.append(profile.shapes))
        profile = SimpleNamespace(shapes={})
        profile.set_shape = lambda name, *shapes: profile.shapes.update({name: shapes})
        return SimpleNamespace(create_network=lambda flags: network, create_builder_config=lambda: config,
                               create_optimization_profile=lambda: profile, build_serialized_network=build)

    def OnnxParser(self, network: Any, log: Any) -> Any:
        def parse(path: str) -> bool:
            graph = onnx.load(path).graph
            network.path = path
            network.inputs, network.outputs = (
                [SimpleNamespace(name=v.name, shape=tuple(d.dim_value or -1 for d in v.type.tensor_type.shape.dim))
                 for v in values] for values in (graph.input, graph.output))
            network.num_inputs, network.num_outputs = len(network.inputs), len(network.outputs)
            return True

        return SimpleNamespace(parse_from_file=parse, num_errors=0)

    def Runtime(self, log: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: _engine(**json.loads(plan)))


def _engine(path: str, outputs: list[str]) -> Any:
    graph = onnx.load(path).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    inputs = [v.name for v in graph.input]
    names = inputs + outputs
    return SimpleNamespace(
        num_io_tensors=len(names), get_tensor_name=lambda i: names[i],
        get_tensor_mode=lambda name: 'in' if name in inputs else 'out', get_tensor_dtype=kinds.__getitem__,
        create_execution_context=lambda: _context(path, inputs, outputs, kinds))


def _context(path: str, inputs: list[str], outputs: list[str], kinds: dict[str, int]) -> Any:
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    shapes: dict[str, tuple[int, ...]] = {}
    addresses: dict[str, int] = {}

    def shape_of(name: str) -> tuple[int, ...]:
        points = shapes['pixel'] if 'pixel' in shapes else shapes['voxel']
        return (*points, session.get_outputs()[-1].shape[1]) if name == 'scores' else points

    def view(name: str, shape: tuple[int, ...]) -> np.ndarray:
        kind: np.dtype = np.dtype(NUMPY[kinds[name]])
        raw = (ctypes.c_char * (int(np.prod(shape)) * kind.itemsize)).from_address(addresses[name])
        return np.frombuffer(memoryview(raw), kind).reshape(shape)

    def execute(stream: int) -> bool:
        results = session.run(outputs, {name: view(name, shapes[name]) for name in inputs})
        for name, result in zip(outputs, results, strict=True):
            view(name, result.shape)[...] = result
        return True

    def set_shape(name: str, shape: tuple[int, ...]) -> bool:
        shapes[name] = tuple(shape)
        return True

    return SimpleNamespace(set_input_shape=set_shape, get_tensor_shape=shape_of, execute_async_v3=execute,
                           set_tensor_address=lambda name, address: addresses.__setitem__(name, address))


class HostCuda:
    """``cuda.bindings.runtime`` on ordinary memory; counts what is not given back."""

    def __init__(self) -> None:
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        self.held: dict[int, Any] = {}

    def cudaGetDevice(self) -> tuple[int, int]:
        return 0, 0

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b'Stand-in\0\0', major=9, minor=0)

    def cudaStreamCreate(self) -> tuple[int, int]:
        return 0, 7

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        memory = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(memory)] = memory
        return 0, ctypes.addressof(memory)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.held[address]
        return (0,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        ctypes.memmove(to, source, size)
        return (0,)
