"""The processes of a run, on one machine or several: the rank of this one, and collective operations.

A run in one process has rank 0 of 1; every operation returns what it was given.
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
from gatewise.tasks.launcher import RankInfo, check_agrees, rank_info_of, set_address
from gatewise.tasks.peers import Peers
from gatewise.tasks.training_options import TrainingOptions

Value = TypeVar("Value")

# `Peers` detects dead processes. A collective may wait for long: one process of a machine reads data first.
_COLLECTIVE_TIMEOUT = timedelta(hours=2)

_RENDEZVOUS_TIMEOUT = timedelta(minutes=5)

_peers: Peers | None = None


def rank() -> int:
    """The rank of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """The number of processes (world size)."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def local_size() -> int:
    """The number of processes on this machine, as far as the launcher says."""
    here = rank_info()
    return 1 if here is None or size() == 1 else here.local_size or 1


def is_main() -> bool:
    """Whether this is the main process (rank 0), which prints, writes files and decides."""
    return rank() == 0


def from_main(value: Value) -> Value:
    """The value of the main process, broadcast to every process."""
    if size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather(value: Value) -> list[Value]:
    """The values of all processes, by rank, in every process."""
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
    """Run the block in one process of each machine first; the others then find the cache that it has filled."""
    here = rank_info()
    first = here is None or here.local_rank == 0
    if size() > 1 and not first:
        distributed.barrier()
    yield
    if size() > 1 and first:
        distributed.barrier()


def rank_info() -> RankInfo | None:
    """The rank that a launcher gives this process; None for a run of one process."""
    return rank_info_of(os.environ)


def device_index(here: RankInfo) -> int:
    """Which of the GPUs that a process sees is its own: launchers show it all of the machine, or that one alone."""
    return 0 if torch.cuda.device_count() == 1 else here.local_rank


@contextmanager
def joined(options: TrainingOptions) -> Iterator[None]:
    """Join the process group of a launcher, if there is one, for the block.

    Only the main process prints. An error that ends one process ends all, and one of them reports it.

    Args:
        options: of the run; a launcher decides about ``devices`` and ``num_nodes``.

    Raises:
        ValueError: when the options contradict the launcher.
        ChildProcessError: when another process dies.
        ConnectionError: when the others cannot be reached.
    """
    global _peers
    here = rank_info()
    if here is None:
        yield
        return
    check_agrees(here, options.devices, options.num_nodes)
    _join_process_group(here, options.device)
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
    """Leave the process group; only the main process continues. All processes call it together."""
    if _peers is not None and not _peers.left:
        distributed.barrier()
        _peers.leave()
        distributed.destroy_process_group()


def _join_process_group(here: RankInfo, device: str) -> None:
    global _peers
    set_address()
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    on_gpus = device != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(device_index(here))
    try:
        store, *_ = next(rendezvous("env://", here.rank, here.size, timeout=_RENDEZVOUS_TIMEOUT))
        store.set(f"gatewise/{here.rank}", "here")
        store.wait([f"gatewise/{rank}" for rank in range(here.size)], _RENDEZVOUS_TIMEOUT)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=store,
            rank=here.rank,
            world_size=here.size,
            timeout=_COLLECTIVE_TIMEOUT,
        )
        reports = here.rank == 1 or here.local_rank == 0
        _peers = Peers(here.rank, here.size, reports, os.environ["MASTER_ADDR"], from_main)
    except (RuntimeError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConnectionError(
            f"process {here.rank} of {here.size} could not meet the others at {where}, which MASTER_ADDR and "
            f"MASTER_PORT name: {first}"
        ) from None
