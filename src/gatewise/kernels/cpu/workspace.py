"""Workspaces of the engine: scratch memory of a call, reused by later calls.

Fresh pages cost as much as a matrix product of their size. A call takes a workspace out of the pool and returns it at
the end, so calls in several threads, or in a signal handler, never share one.
"""

from typing import NamedTuple

import numpy

# Bytes: larger workspaces are freed at once.
MOST_KEPT = 1 << 28
_free: list["Workspace"] = []  # popped and appended in atomic operations


class Workspace(NamedTuple):
    """Memory for one call at a time."""

    memory: numpy.ndarray
    address: int
    size: int


_NONE = Workspace(numpy.empty(0, dtype=numpy.uint8), 0, 0)


def take() -> Workspace:
    """The most recently returned workspace, or an empty one."""
    try:
        return _free.pop()
    except IndexError:
        return _NONE


def larger(size: int) -> Workspace:
    """A new workspace of ``size`` bytes.

    Raises:
        MemoryError: when there is not enough memory.
    """
    try:
        memory = numpy.empty(size, dtype=numpy.uint8)
    except MemoryError:
        raise MemoryError(
            f"the fused CPU kernels need a workspace of {size / 2**20:.0f} MiB; "
            "use smaller batches, shorter sequences, or checkpoint_every"
        ) from None
    return Workspace(memory, memory.ctypes.data, size)


def give_back(workspace: Workspace) -> None:
    """Return a workspace to the pool."""
    if 0 < workspace.size <= MOST_KEPT and len(_free) < 8:
        _free.append(workspace)
