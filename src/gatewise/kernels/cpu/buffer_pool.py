"""A pool of large buffers, since clearing fresh pages would slow down every training step."""

import math
import weakref

import numpy
import torch
from torch import Tensor

# Below SMALLEST the allocator is fast; beyond LIMIT in total, buffers are freed.
SMALLEST = 1 << 18
LIMIT = 1 << 29
_CPU = torch.device("cpu")  # whatever the default device is

# Only atomic operations, no locks: threads, signal handlers and the garbage collector may run at any point.
_free: dict[int, list[numpy.ndarray]] = {}


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor whose memory returns to the pool when the last tensor that shares it is gone.

    Raises:
        MemoryError: when there is not enough, the pool given back to the system included.
    """
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < SMALLEST:
        return torch.empty(shape, dtype=dtype, device=_CPU)
    return torch.frombuffer(_take(rounded(size)), dtype=dtype, count=count).view(shape)


def clear() -> None:
    """Free the buffers of the pool."""
    _free.clear()


def held() -> int:
    """Number of unused bytes in the pool."""
    return sum(size * len(blocks) for size, blocks in list(_free.items()))


def rounded(size: int) -> int:
    """One of eight sizes per power of two, so that slightly different lengths reuse the same buffers."""
    step = max(1 << max(size.bit_length() - 4, 0), 64)
    return -(-size // step) * step


def _take(size: int) -> numpy.ndarray:
    try:
        block = _free[size].pop()
    except (KeyError, IndexError):
        block = _allocate(size)
    # A separate view for each lease: torch keeps it alive as long as any tensor shares the memory.
    lease = block[:]
    weakref.finalize(lease, _give_back, block).atexit = False
    return lease


def _allocate(size: int) -> numpy.ndarray:
    try:
        return _fresh(size)
    except MemoryError:
        clear()
        try:
            return _fresh(size)
        except MemoryError:
            raise MemoryError(
                f"the fused CPU kernels found no {size / 2**20:.0f} MiB of memory; "
                "use smaller batches, shorter sequences, or checkpoint_every"
            ) from None


def _fresh(size: int) -> numpy.ndarray:
    raw = numpy.empty(size + 64, dtype=numpy.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def _give_back(block: numpy.ndarray) -> None:
    if held() + block.nbytes <= LIMIT:
        _free.setdefault(block.nbytes, []).append(block)
