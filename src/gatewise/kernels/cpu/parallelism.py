"""The number of threads of a call."""

import os
from functools import lru_cache

import torch

from gatewise.kernels.cpu.quota import quota

_forked = False


def _after_fork() -> None:
    global _forked
    # The threads of the parent's pool do not exist in a forked child; waiting for them would deadlock.
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


def forked() -> bool:
    """Whether this process is a forked child, which has one thread."""
    return _forked


def threads() -> int:
    """Threads to use: no more than a call is divided among, than torch has, or than the process may run at once."""
    return team()[1]


def team() -> tuple[int, int]:
    """The number of threads that the work of a call is divided among, which determines its bits, and `threads`.

    The first is ``GATEWISE_THREADS`` as it was at the first call, or torch's number of threads. Asked at every call.

    Raises:
        ValueError: when the variable is not a positive number.
    """
    own = torch.get_num_threads()
    slices = _requested() or own
    if _forked:
        _use_one_thread()
        return slices, 1
    if slices == 1:
        return 1, 1
    workers, available = own if own < slices else slices, processors()  # `min` takes as long as the rest of this
    return slices, available if available < workers else workers


def processors() -> int:
    """Processors that the process may use at once."""
    affinity, quota = _affinity(), _quota()
    return affinity if affinity < quota else quota


@lru_cache(maxsize=1)  # reading the environment takes a microsecond
def _requested() -> int | None:
    text = os.environ.get("GATEWISE_THREADS")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"GATEWISE_THREADS: expected a number of threads, 1 or more, got {text!r}")
    return int(text)


@lru_cache(maxsize=1)
def _use_one_thread() -> None:
    # torch's operators would otherwise wait for threads that do not exist, during our calls too.
    torch.set_num_threads(1)


if hasattr(os, "sched_getaffinity"):

    def _affinity() -> int:
        return len(os.sched_getaffinity(0))

else:

    def _affinity() -> int:
        return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _quota() -> int:
    return quota() or os.cpu_count() or 1
