"""Large buffers that are used again, so that a training step does not wait for the system to clear fresh pages."""

import math
import weakref

import numpy
import torch
from torch import Tensor

# Smaller than this the allocator is quick; more than this in all is given back to the system.
SMALLEST = 1 << 18
LIMIT = 1 << 29
_CPU = torch.device("cpu")  # whatever the default device is

# Only single operations that nothing can come between: a thread, a signal handler or the garbage collector, which run
# anywhere, so nobody may wait for a lock.
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
    return torch.frombuffer(_take(_rounded(size)), dtype=dtype, count=count).view(shape)


def clear() -> None:
    """Give what the pool holds back to the system."""
    _free.clear()


def held() -> int:
    """Bytes that the pool holds unused."""
    return sum(size * len(blocks) for size, blocks in list(_free.items()))


def _rounded(size: int) -> int:
    """One of eight sizes per power of two, so that lengths that vary a little meet the same buffers."""
    step = max(1 << (size.bit_length() - 4), 64)
    return -(-size // step) * step


def _take(size: int) -> numpy.ndarray:
    try:
        block = _free[size].pop()
    except (KeyError, IndexError):
        block = _made(size)
    # A view of its own for each lease: torch keeps it alive as long as any tensor shares the memory.
    lease = block[:]
    weakref.finalize(lease, _give_back, block).atexit = False
    return lease


def _made(size: int) -> numpy.ndarray:
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
