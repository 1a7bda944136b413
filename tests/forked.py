"""Processes that are forked from one that has imported torch and Lightning, which takes each new one seconds."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.resource_sharer import DupFd
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gatewise.tasks import child

_MODULES = ["gatewise.tasks.train_run", "gatewise.tasks.language_model.training"]


class Forked:
    """A function in a process of its own, which has this one's standard error, as `subprocess.Popen` shows a command.

    Args:
        function: what it does; its module is imported there.
        arguments: of the function.
        env: the environment.

    Attributes:
        pid: the number of the process.
        stdin: leads to its standard input.
    """

    def __init__(
        self, function: Callable[..., object], *arguments: object, env: Mapping[str, str] | None = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        _start_server()
        reads, writes = os.pipe()
        self.stdin: BinaryIO = os.fdopen(writes, "wb")
        files = DupFd(reads), DupFd(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        self._process = context.Process(
            target=_run, args=(files, dict(os.environ if env is None else env), function, arguments)
        )
        self._process.start()
        os.close(reads)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        if self.poll() is not None:
            self.stdin.close()
        return self.poll()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def popen(command: Sequence[str], *, env: Mapping[str, str], stdin: int, start_new_session: bool) -> Forked:
    """In the place of `subprocess.Popen`, for the processes of a training run."""
    assert command[1:-1] == ["-m", "gatewise.tasks.child"]
    return Forked(child.main, Path(command[-1]), env=env)


def _run(
    files: tuple[Any, Any], environment: Mapping[str, str], function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    os.setsid()
    for number, file in zip((0, 2), files, strict=True):
        descriptor = file.detach()
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)


def _start_server() -> None:
    multiprocessing.set_forkserver_preload(_MODULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patch.setenv("OMP_NUM_THREADS", "1")
        forkserver.ensure_running()
