"""torch's end of a worker: starts it, sends it a case, has it take its turns."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, get_args

import numpy
import torch

from benchmarks.cases import Case
from benchmarks.contenders import NamedTensors, gradients
from benchmarks.inputs import layer_of, make_inputs
from benchmarks.workers.frames import receive, send
from benchmarks.workers.request import Refusal, Request

LibraryName = Literal["onnxruntime", "jax"]
LIBRARIES: tuple[LibraryName, ...] = get_args(LibraryName)
_MODULES = {"onnxruntime": ("onnx", "onnxruntime"), "jax": ("jax",)}


def missing(library: LibraryName) -> str | None:
    """Why a library cannot be timed here, or None."""
    unavailable = [module for module in _MODULES[library] if importlib.util.find_spec(module) is None]
    if not unavailable:
        return None
    return f"{library} is not timed: {' and '.join(unavailable)} not installed (make bench installs them)"


class WorkerError(RuntimeError):
    """A worker has ended before its time."""


class Worker:
    """A process that runs one library; a context manager that ends it.

    Attributes:
        name: of the library.
        version: name and version.
        pid: of the process.
    """

    def __init__(self, library: LibraryName, threads: int) -> None:
        self.name = library
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.workers.serve", library, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.pid = self._process.pid
        try:
            self.version: str = self._received()
        except WorkerError:
            self.close()
            raise

    def contender(self, case: Case) -> "Remote | str":
        """The library's contender at a case, or why it has none."""
        if case.ragged or case.reset:
            return f"{self.name} is timed on full rows without resets"
        values = make_inputs(case)
        layer = layer_of(case)
        layer.load_state_dict(values.weights)
        parameters = [
            {group: weight.detach().numpy() for group, weight in zip(layer.cell.groups, weights, strict=True)}
            for weights in layer.all_weights
        ]
        request = Request(
            case.built_in,
            case.definition.text,
            case.mode == "training",
            case.stream,
            values.x.numpy(),
            values.gradient.numpy(),
            parameters,
        )
        refusal: Refusal | None = self.ask("prepare", request)
        return refusal.reason if refusal is not None else Remote(self, case)

    def ask(self, question: str, argument: object = None) -> Any:
        """The answer to one message.

        Raises:
            WorkerError: when the process has ended, with its last words.
        """
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, (question, argument))
        except BrokenPipeError:
            raise self._ended() from None
        return self._received()

    def _received(self) -> Any:
        assert self._process.stdout is not None
        try:
            return receive(self._process.stdout)
        except EOFError:
            raise self._ended() from None

    def _ended(self) -> WorkerError:
        self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        return WorkerError(f"{self.name} ended with code {self._process.returncode}: {words[-1] if words else ''}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                # What a worker that has died did not read is still to be flushed.
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


class Remote:
    """A contender in a worker."""

    remote = True

    def __init__(self, worker: Worker, case: Case) -> None:
        self.name = worker.name
        self._worker = worker
        self._case = case

    def compute(self) -> NamedTensors:
        """Output and gradients, at the given weights."""
        arrays: list[numpy.ndarray] = self._worker.ask("compute")
        output, *found = (torch.from_numpy(numpy.array(array)) for array in arrays)
        return {"output": output, **(gradients(make_inputs(self._case), tuple(found)) if found else {})}

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each call."""
        return self._worker.ask("time_calls", calls)
