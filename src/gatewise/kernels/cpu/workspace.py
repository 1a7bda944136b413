"""Workspaces of the engine: scratch memory of a call, reused by later calls.

Fresh pages cost as much as a matrix product of their size. A call takes a workspace out of the binding's pool and
returns it at the end, so calls in several threads, or in a signal handler, never share one.
"""

from typing import NamedTuple

import numpy

from gatewise.kernels.cpu.buffer_pool import rounded

# Workspaces that no call uses.
KEPT = 8


class Workspace(NamedTuple):
    """Memory for one call at a time."""

    memory: numpy.ndarray
    address: int
    size: int


def larger(size: int) -> Workspace:
    """A new workspace of at least ``size`` bytes, so that one for slightly longer sequences is often large enough.

    Raises:
        MemoryError: when there is not enough memory.
    """
    size = rounded(size)
    try:
        memory = numpy.empty(size, dtype=numpy.uint8)
    except MemoryError:
        raise MemoryError(
            f"the fused CPU kernels need a workspace of {size / 2**20:.0f} MiB; "
            "use smaller batches, shorter sequences, or checkpoint_every"
        ) from None
    return Workspace(memory, memory.ctypes.data, size)
