"""Large buffers that are used again, so that a training step does not wait for the system to clear fresh pages."""

import threading
import weakref

import numpy
import torch
from torch import Tensor

# Smaller than this the allocator is quick; more than this in all is given back to the system.
SMALLEST = 1 << 16
LIMIT = 1 << 29

_free: dict[int, list[numpy.ndarray]] = {}
_held = 0
_lock = threading.Lock()
_ITEM = {torch.float32: 4, torch.float64: 8}


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor whose memory returns to the pool when the last tensor that shares it is gone."""
    count = 1
    for size in shape:
        count *= size
    size = count * _ITEM[dtype]
    if size < SMALLEST:
        return torch.empty(shape, dtype=dtype)
    size = _rounded(size)
    lease = _take(size)
    return torch.from_numpy(lease).view(dtype)[:count].view(shape)


def clear() -> None:
    """Give what the pool holds back to the system."""
    global _held
    with _lock:
        _free.clear()
        _held = 0


def held() -> int:
    """Bytes that the pool holds unused."""
    return _held


def _rounded(size: int) -> int:
    """One of eight sizes per power of two, so that lengths that vary a little meet the same buffers."""
    step = max(1 << (size.bit_length() - 4), 64)
    return -(-size // step) * step


def _take(size: int) -> numpy.ndarray:
    global _held
    with _lock:
        waiting = _free.get(size)
        block = waiting.pop() if waiting else None
        if block is not None:
            _held -= size
    if block is None:
        raw = numpy.empty(size + 64, dtype=numpy.uint8)
        start = -raw.ctypes.data % 64
        block = raw[start : start + size]
    # A view of its own for each lease: torch keeps it alive as long as any tensor shares the memory.
    lease = block[:]
    weakref.finalize(lease, _give_back, block).atexit = False
    return lease


def _give_back(block: numpy.ndarray) -> None:
    global _held
    with _lock:
        if _held + block.nbytes <= LIMIT:
            _free.setdefault(block.nbytes, []).append(block)
            _held += block.nbytes
