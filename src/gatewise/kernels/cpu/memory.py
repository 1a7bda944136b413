"""Large buffers that are used again, so that a training step does not wait for the system to clear fresh pages."""

import math
import os
import threading
import weakref

import numpy
import torch
from torch import Tensor

# Smaller than this the allocator is quick; more than this in all is given back to the system.
SMALLEST = 1 << 18
LIMIT = 1 << 29
_CPU = torch.device("cpu")  # whatever the default device is

_free: dict[int, list[numpy.ndarray]] = {}
_held = 0
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor whose memory returns to the pool when the last tensor that shares it is gone.

    Raises:
        MemoryError: when there is not enough, the pool given back to the system included.
    """
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < SMALLEST:
        return torch.empty(shape, dtype=dtype, device=_CPU)
    return torch.frombuffer(_take(_rounded(size)), dtype=dtype, count=count).view(shape)


def clear() -> None:
    """Give what the pool holds back to the system."""
    global _held
    with _lock:
        blocks = list(_free.values())
        _free.clear()
        _held = 0
    del blocks  # outside: freeing large blocks takes time


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
        try:
            block = _fresh(size)
        except MemoryError:
            clear()
            try:
                block = _fresh(size)
            except MemoryError:
                raise MemoryError(
                    f"the fused CPU kernels found no {size / 2**20:.0f} MiB of memory; "
                    "use smaller batches, shorter sequences, or checkpoint_every"
                ) from None
    # A view of its own for each lease: torch keeps it alive as long as any tensor shares the memory.
    lease = block[:]
    weakref.finalize(lease, _give_back, block).atexit = False
    return lease


def _fresh(size: int) -> numpy.ndarray:
    raw = numpy.empty(size + 64, dtype=numpy.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def _give_back(block: numpy.ndarray) -> None:
    global _held
    # The garbage collector may call this anywhere, in the midst of `_take` too: it must not wait for the lock.
    if not _lock.acquire(blocking=False):
        return
    try:
        if _held + block.nbytes <= LIMIT:
            _free.setdefault(block.nbytes, []).append(block)
            _held += block.nbytes
    finally:
        _lock.release()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that is not in the child may have held the other


os.register_at_fork(after_in_child=_after_fork)
