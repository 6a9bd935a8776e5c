"""Memory on the GPU through NVIDIA's own Python bindings: a stream, and buffers that grow as sweeps do."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2amml_core.errors import EngineError


def cuda_runtime() -> Any:
    """``cuda.bindings.runtime``; raises ``EngineError`` with the remedy if it is not installed."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise EngineError(f'the CUDA bindings of NVIDIA are not installed ({error}); install cuda-bindings '
                          'for your CUDA, or use engine "cuda" or "cpu"') from error
    return runtime


def check(result: tuple[Any, ...], doing: str) -> Any:
    """The value of a CUDA call, or ``EngineError``; calls return their error first."""
    error, *values = result
    if int(error) != 0:
        raise EngineError(f'CUDA failed at {doing}: {error}; check the driver and that no other process fills the GPU')
    return values[0] if values else None


def gpu_name() -> tuple[str, str]:
    """Name and compute capability of the current GPU; raises ``EngineError`` without one."""
    runtime = cuda_runtime()
    device = check(runtime.cudaGetDevice(), 'looking for a GPU')
    properties = check(runtime.cudaGetDeviceProperties(device), 'asking for its name')
    name = properties.name
    text = name.decode() if isinstance(name, bytes) else str(name)
    return text.rstrip('\0'), f'{properties.major}.{properties.minor}'


class DeviceMemory:
    """One stream and a buffer for each tensor name, enlarged when needed; ``close`` gives all back."""

    def __init__(self) -> None:
        self.runtime = cuda_runtime()
        self.stream = check(self.runtime.cudaStreamCreate(), 'making a stream')
        self.buffers: dict[str, tuple[int, int]] = {}

    def reserve(self, name: str, size: int) -> int:
        """Address of the buffer ``name`` with room for ``size`` bytes."""
        address, room = self.buffers.get(name, (0, 0))
        if room >= max(1, size):
            return address
        if address:
            check(self.runtime.cudaFree(address), 'giving memory back')
            del self.buffers[name]
        room = max(1, size + size // 4)
        address = int(check(self.runtime.cudaMalloc(room), f'reserving {room} bytes'))
        self.buffers[name] = (address, room)
        return address

    def send(self, name: str, values: np.ndarray) -> int:
        """Copy a C-contiguous array to the buffer ``name``; its address."""
        address = self.reserve(name, values.nbytes)
        kind = self.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        check(self.runtime.cudaMemcpyAsync(address, values.ctypes.data, values.nbytes, kind, self.stream),
              f'sending {name}')
        return address

    def fetch(self, name: str, into: np.ndarray) -> None:
        """Copy the buffer ``name`` into a C-contiguous array; complete after ``wait``."""
        kind = self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        address = self.buffers[name][0]
        check(self.runtime.cudaMemcpyAsync(into.ctypes.data, address, into.nbytes, kind, self.stream),
              f'fetching {name}')

    def wait(self) -> None:
        check(self.runtime.cudaStreamSynchronize(self.stream), 'running the network')

    def close(self) -> None:
        for address, _ in self.buffers.values():
            self.runtime.cudaFree(address)
        self.buffers.clear()
        self.runtime.cudaStreamDestroy(self.stream)
