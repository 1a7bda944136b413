"""The worker's end: ``python -m benchmarks.workers.serve LIBRARY THREADS``, messages on stdin and stdout."""

import gc
import importlib
import os
import sys
from typing import Any, Protocol

from benchmarks.seconds import seconds_of
from benchmarks.workers.frames import receive, send
from benchmarks.workers.request import Prepared, Refusal, Request

MODULES = {"onnxruntime": "onnx_runtime", "jax": "jax_scan"}


class Library(Protocol):
    """What a module of `MODULES` has."""

    def version(self) -> str:
        """Name and version, as shown."""
        ...

    def prepare(self, task: Request, threads: int) -> Prepared | Refusal:
        """A task made ready to be called."""
        ...


def main() -> None:
    """Answer until the client goes."""
    name, threads = sys.argv[1], int(sys.argv[2])
    # What a library prints goes to the error stream: standard output carries messages.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    questions = sys.stdin.buffer
    if hasattr(os, "sched_setaffinity"):
        # JAX has no option for its threads: it has as many as there are processors for it.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    library: Any = importlib.import_module(f"benchmarks.workers.{MODULES[name]}")
    send(answers, library.version())
    prepared: Prepared | None = None
    gc.disable()
    while True:
        try:
            question, argument = receive(questions)
        except EOFError:
            return
        if question == "prepare":
            prepared = None
            gc.collect()
            made = library.prepare(argument, threads)
            prepared = made if isinstance(made, Prepared) else None
            send(answers, made if isinstance(made, Refusal) else None)
        elif question == "compute":
            assert prepared is not None
            send(answers, prepared.compute())
        else:
            assert prepared is not None
            send(answers, seconds_of(prepared.call, argument, prepared.change))


if __name__ == "__main__":
    main()
