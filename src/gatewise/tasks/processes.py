"""A run in several processes on this machine, started and watched by this one, which does not train itself."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

REQUEST = "request"

_POLL_SECONDS = 0.05
_REPORTED, _INTERRUPTED = 2, 130
"""Exit codes of a process whose error is reported, by itself or by another one, and of one that Ctrl-C has ended."""
_UNWINDING_SECONDS = 5.0
"""How long the other processes have to end by themselves once one has ended with an error."""


@dataclass(frozen=True)
class Request:
    """What the processes are asked to do.

    Attributes:
        task: the name of the task.
        options: values by name.
        resume: the run folder to resume; None for a new run.
        max_minutes: a new limit, of a resumed run.
        began_at: when the command began, by `time.monotonic`, which all processes of a machine share.
    """

    task: str
    options: dict[str, Any]
    resume: Path | None
    max_minutes: float | None
    began_at: float


@dataclass(frozen=True)
class Machine:
    """Which of the machines of a run this is.

    Attributes:
        number: from 0.
        count: how many there are.
        address: of the first.
        port: where it listens; 0 for any, on one machine.
    """

    number: int
    count: int
    address: str
    port: int


def machine(num_nodes: int) -> Machine:
    """The place of this machine, by the environment if there are several.

    Raises:
        ValueError: when a variable is missing or wrong.
    """
    if num_nodes == 1:
        return Machine(0, 1, "127.0.0.1", 0)
    found: dict[str, str] = {}
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise ValueError(
                f"num_nodes: {num_nodes} machines need NODE_RANK (0 to {num_nodes - 1}), MASTER_ADDR and MASTER_PORT "
                f"(of machine 0) in the environment of each, and {name} is not set; or start with torchrun or srun"
            )
        found[name] = os.environ[name]
    for name, low, high in (("NODE_RANK", 0, num_nodes - 1), ("MASTER_PORT", 1, 65535)):
        if not found[name].isdecimal() or not low <= int(found[name]) <= high:
            raise ValueError(f"{name}: expected a number from {low} to {high}, got {found[name]!r}")
    return Machine(int(found["NODE_RANK"]), num_nodes, found["MASTER_ADDR"], int(found["MASTER_PORT"]))


def run(request: Request, devices: int, here: Machine) -> None:
    """Start the processes of this machine and wait until they have ended.

    Raises:
        ChildProcessError: when one has died; the others are ended then.
        KeyboardInterrupt: after Ctrl-C, which is sent to every process once.
        Exception: what one of them has raised.
    """
    with TemporaryDirectory(prefix="gatewise-") as name:
        folder = Path(name)
        (folder / REQUEST).write_bytes(pickle.dumps(request))
        store, port = _store(here)
        children: list[subprocess.Popen[bytes]] = []
        first = here.number * devices
        with _passing_on_interrupts(children) as interrupts:
            try:
                for local_rank in range(devices):
                    ranks = {"RANK": first + local_rank, "WORLD_SIZE": devices * here.count, "LOCAL_RANK": local_rank}
                    children.append(_started(folder, {**ranks, "LOCAL_WORLD_SIZE": devices}, here.address, port))
                _wait(children)
                codes = [child.poll() for child in children]
            finally:
                _end(children)
                del store
        if interrupts and any(codes):
            raise KeyboardInterrupt
        _raise_first(folder, codes, first)


def error_file(folder: Path, rank: int) -> Path:
    """Where a process leaves its error."""
    return folder / f"error-{rank}"


def threads_of_each(devices: int) -> int:
    """The threads of each of `devices` processes that share the cores of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // devices)


def _store(here: Machine) -> tuple[Any, int]:
    """Where the processes meet: served from here on the first machine, so that no port is taken in between."""
    if here.number > 0:
        return None, here.port
    from torch._C._distributed_c10d import TCPStore

    try:
        store = TCPStore(here.address, here.port, is_master=True, wait_for_workers=False)
    except RuntimeError as error:
        raise ConnectionError(f"cannot listen at {here.address}:{here.port}: {str(error).splitlines()[0]}") from None
    return store, store.port


def _started(folder: Path, ranks: dict[str, int], address: str, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **{name: str(value) for name, value in ranks.items()},
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # this process serves the store, as torchrun does
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    environment.setdefault("OMP_NUM_THREADS", str(threads_of_each(ranks["LOCAL_WORLD_SIZE"])))
    return subprocess.Popen(
        [sys.executable, "-m", "gatewise.tasks.child", str(folder)],
        env=environment,
        stdin=subprocess.PIPE,  # closed when this process ends, which ends the child
        start_new_session=True,  # Ctrl-C in the terminal reaches this process alone, which passes it on once
    )


def _wait(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Wait until all have ended, or some time after one has ended with an error."""
    failed_at = None
    while any(child.poll() is None for child in children):
        if failed_at is None and any(child.poll() not in (None, 0, _INTERRUPTED) for child in children):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _UNWINDING_SECONDS:
            return
        time.sleep(_POLL_SECONDS)


@contextmanager
def _passing_on_interrupts(children: Sequence["subprocess.Popen[bytes]"]) -> Iterator[list[int]]:
    """Pass Ctrl-C on to the processes, which save their state; yields the interrupts. See `deferred_interrupt`."""
    interrupts: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        for child in children:
            child.send_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _end(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
    for child in children:
        child.wait()
        if child.stdin is not None:
            child.stdin.close()


def _raise_first(folder: Path, codes: Sequence[int | None], first: int) -> None:
    """Raise what has ended the run: an error of a process, or else its death.

    Args:
        folder: where they leave errors.
        codes: the exit codes of those that have ended by themselves.
        first: the number of the first of them.
    """
    paths = [error_file(folder, rank) for rank in range(first, first + len(codes))]
    errors = [pickle.loads(path.read_bytes()) for path in paths if path.exists()]
    for error in errors:
        if not isinstance(error, ChildProcessError):
            raise error
    for rank, code in enumerate(codes, first):
        if code not in (None, 0, _REPORTED):
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise ChildProcessError(f"process {rank} of the run {how}; resume the run from its last saved state")
    for error in errors:
        raise error
    if any(code != 0 for code in codes):
        raise ChildProcessError("a process of the run has failed")
