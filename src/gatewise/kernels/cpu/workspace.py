"""Workspaces of the engine: memory that a call needs while it runs, kept for the next one.

Pages fresh from the system cost as much as a product of theirs. A call takes a workspace out of the pool and gives it
back when it returns, so calls in several threads, or within a signal handler, never share one.
"""

from typing import NamedTuple

import numpy

# Bytes: a larger workspace is given back to the system at once.
MOST_KEPT = 1 << 28
_free: list["Workspace"] = []  # popped and appended in single operations, which no other thread can come between


class Workspace(NamedTuple):
    """Memory for one call at a time."""

    memory: numpy.ndarray
    address: int
    size: int


_NONE = Workspace(numpy.empty(0, dtype=numpy.uint8), 0, 0)


def take() -> Workspace:
    """The workspace that was given back last; an empty one when there is none."""
    try:
        return _free.pop()
    except IndexError:
        return _NONE


def larger(size: int) -> Workspace:
    """A new workspace of so many bytes.

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
    """Keep a workspace for the next call."""
    if 0 < workspace.size <= MOST_KEPT and len(_free) < 8:
        _free.append(workspace)
