"""How a call is shared out among threads, and how wide its strips of weights are."""

import math
import os
from functools import lru_cache
from typing import NamedTuple

import torch

from gatewise.kernels.cpu.quota import quota

# Multiply-adds of a step below which a barrier between threads costs more than the second thread saves.
UNITS_WORTH_SPLITTING = 150_000
# Multiply-adds of a whole call below which one thread is faster than waking another.
CALL_WORTH_SPLITTING = 400_000
# A thread with fewer rows than this reads the weights more often than it uses them.
ROWS_PER_THREAD = 4

# Weights of a step that do not stay in a core's own cache, and so many of them per row of a thread: then threads that
# share out rows wait for the same weights, and threads that share out units read half of them each.
WEIGHTS_BEYOND_CACHE = 1 << 19
WEIGHTS_PER_ROW = 1 << 15

_forked = False


def _after_fork() -> None:
    global _forked
    # The threads of the parent's pool do not exist in a forked child, and waiting for them would not end.
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


def forked() -> bool:
    """Whether this process is a forked child, which has one thread."""
    return _forked


class Split(NamedTuple):
    """How the rows or units of each direction are shared out.

    Attributes:
        slices: threads per direction.
        units: whether they take units and meet at a barrier in every step, rather than rows.
    """

    slices: int
    units: bool


def split(rows: int, hidden_size: int, steps: int, blocks: int, directions: int) -> Split:
    """The split for a call.

    Arguments:
        rows, hidden_size, steps: B, H and T.
        blocks: parameter blocks (H, H) that a step multiplies by.
        directions: D.
    """
    step = rows * blocks * hidden_size * hidden_size
    slices = max(1, threads() // directions)
    if step * steps < CALL_WORTH_SPLITTING or slices == 1:
        return Split(1, False)
    weights = blocks * hidden_size * hidden_size
    many = weights >= WEIGHTS_BEYOND_CACHE and weights * slices > WEIGHTS_PER_ROW * rows
    if rows >= ROWS_PER_THREAD * slices and not many:
        return Split(slices, False)
    if step >= UNITS_WORTH_SPLITTING:
        return Split(slices, True)
    return Split(min(slices, rows), False) if rows > 1 and step * steps > 4 * CALL_WORTH_SPLITTING else Split(1, False)


def registers_per_output(rows: int, outputs: int, hidden_size: int, lanes: int, units_slices: int) -> int:
    """How many registers wide each output's strip is.

    With few rows a strip is wide, so that enough sums are under way to hide the latency of one; with many it leaves
    registers for more rows.
    """
    blocks = max(1, (8 if rows <= 2 else 4) // outputs)
    while blocks > 1 and (blocks // 2) * lanes >= hidden_size:
        blocks //= 2
    while blocks > 1 and math.ceil(hidden_size / (blocks * lanes)) < units_slices:
        blocks //= 2
    return blocks


def threads() -> int:
    """Threads to use: torch's number, but no more than the process may run at once."""
    if _forked:
        _leave_the_pool_alone()
        return 1
    return max(1, min(torch.get_num_threads(), _affinity(), _quota()))


@lru_cache(maxsize=1)
def _leave_the_pool_alone() -> None:
    # torch's own operators would wait for the threads that do not exist, in the midst of a call of ours too.
    torch.set_num_threads(1)


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _quota() -> int:
    return quota() or os.cpu_count() or 1
