"""The processes of a run, on one machine or several: which of them this is, and what they tell each other.

A run in one process is a world of its own, in which all of this does nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from gatewise.progress import silent
from gatewise.tasks.launcher import Place, check_agrees, place_of, set_address
from gatewise.tasks.peers import Peers
from gatewise.tasks.training_options import TrainingOptions

Value = TypeVar("Value")

# Dead processes are noticed by `Peers`. What is waited for may be long: one machine reads its data after the others.
_LONGEST_WAIT = timedelta(hours=2)

_MEETING = timedelta(minutes=5)

_peers: Peers | None = None


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def local_size() -> int:
    """How many there are on this machine, as far as the launcher says."""
    here = place()
    return 1 if here is None or size() == 1 else here.local_size or 1


def is_main() -> bool:
    """Whether this process prints, writes files and decides."""
    return rank() == 0


def from_main(value: Value) -> Value:
    """What the main process gives, in every process."""
    if size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather(value: Value) -> list[Value]:
    """What every process gives, in the order of their numbers, in every process."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    distributed.all_gather_object(values, value)
    return values


def add(*numbers: float) -> list[float]:
    """The sum of each number over all processes."""
    return begin_add(*numbers)()


def begin_add(*numbers: float) -> Callable[[], list[float]]:
    """Begin to add each number over all processes; calling the result waits for the sums.

    Work between the two calls hides how long the others take until they begin.
    """
    if size() == 1:
        return lambda: list(numbers)
    total = torch.tensor(numbers, dtype=torch.float64)
    work = distributed.all_reduce(total, async_op=True)
    assert work is not None

    def wait() -> list[float]:
        work.wait()
        return total.tolist()

    return wait


def any_of(*flags: bool) -> list[bool]:
    """Whether each flag is set in any process."""
    return [count > 0 for count in add(*flags)]


@contextmanager
def one_at_first() -> Iterator[None]:
    """Let one process of each machine run the block before the others, which find what it has left in a cache."""
    here = place()
    first = here is None or here.local_rank == 0
    if size() > 1 and not first:
        distributed.barrier()
    yield
    if size() > 1 and first:
        distributed.barrier()


def place() -> Place | None:
    """The place that a launcher gives this process among several; None for a run of one process."""
    return place_of(os.environ)


def device_index(here: Place) -> int:
    """Which of the GPUs that a process sees is its own: launchers show it all of the machine, or that one alone."""
    return 0 if torch.cuda.device_count() == 1 else here.local_rank


@contextmanager
def joined(options: TrainingOptions) -> Iterator[None]:
    """Meet the other processes that a launcher has started, if it has, for the block.

    The main process alone says what is to be said. An error that ends one of them ends all, and one says why.

    Args:
        options: of the run; a launcher decides about ``devices`` and ``num_nodes``.

    Raises:
        ValueError: when the options contradict the launcher.
        ChildProcessError: when another process dies.
        ConnectionError: when the others cannot be reached.
    """
    global _peers
    here = place()
    if here is None:
        yield
        return
    check_agrees(here, options.devices, options.num_nodes)
    _meet(here, options.device)
    assert _peers is not None
    try:
        if is_main():
            yield
        else:
            with silent():
                yield
        leave()
    except BaseException as error:
        if _peers.left:
            raise
        cause = _peers.cause(error)
        _peers.leave(failed=True)
        if cause is error:
            raise
        raise cause from None
    finally:
        _peers = None
        if distributed.is_initialized():
            distributed.destroy_process_group()


def leave() -> None:
    """Part from the other processes; the main one is on its own from here on. All call it together."""
    if _peers is not None and not _peers.left:
        distributed.barrier()
        _peers.leave()
        distributed.destroy_process_group()


def _meet(here: Place, device: str) -> None:
    global _peers
    set_address()
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    on_gpus = device != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(device_index(here))
    try:
        store, *_ = next(rendezvous("env://", here.rank, here.size, timeout=_MEETING))
        store.set(f"gatewise/{here.rank}", "here")
        store.wait([f"gatewise/{rank}" for rank in range(here.size)], _MEETING)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=store,
            rank=here.rank,
            world_size=here.size,
            timeout=_LONGEST_WAIT,
        )
        reports = here.rank == 1 or here.local_rank == 0
        _peers = Peers(here.rank, here.size, reports, os.environ["MASTER_ADDR"], from_main)
    except (RuntimeError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConnectionError(
            f"process {here.rank} of {here.size} could not meet the others at {where}, which MASTER_ADDR and "
            f"MASTER_PORT name: {first}"
        ) from None
