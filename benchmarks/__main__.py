"""The command ``python -m benchmarks``: the layers timed against the alternatives."""

import json as json_format
import sys
from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Parameter

from benchmarks import contended
from benchmarks.memory import MemoryResults, measure, table
from benchmarks.report import block, heading, summary
from benchmarks.results import BenchmarkResults, Comparison
from benchmarks.runner import run
from gatewise.cli import run_app

_SEVERAL = Parameter(consume_multiple=True, negative=())


def bench(
    grid: Literal[
        "core", "full", "ragged", "reset", "variants", "bidirectional", "stream", "memory", "contended"
    ] = "core",
    *,
    cells: Annotated[tuple[str, ...], _SEVERAL, Parameter(alias="--cell")] = (),
    mode: Literal["training", "inference"] | None = None,
    threads: int | None = None,
    pairs: int = 10,
    against: Annotated[tuple[Literal["torch", "loop", "compiled", "onnxruntime", "jax"], ...], _SEVERAL] = (),
    max_minutes: float | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Time the layers on this machine beside torch.nn, a Python loop, ONNX Runtime and JAX.

    Every contender is first compared with the reference in float64; a wrong one is not timed. Exit code 1 when ours is
    wrong. Run it on an idle machine.

    Parameters
    ----------
    grid
        Which shapes and options: core, full, ragged rows, resets, cells that torch.nn lacks, both directions,
        single steps of a stream; the memory that training takes, plain, checkpointed and truncated; or training beside
        a program that takes one of the processors.
    cells
        Built-in cells, or FILE.py:NAME for one of your own, instead of the grid's.
    mode
        Training (forward and backward) or inference only.
    threads
        Threads of every contender; by default torch's number.
    pairs
        Rounds in which every contender takes its turn, at least 10.
    against
        Contenders; by default all that are installed except compiled (the loop through torch.compile).
    max_minutes
        Skip what no longer fits.
    json
        Print everything as JSON.
    """
    if grid == "memory":
        if mode == "inference" or against or pairs != 10:
            raise ValueError(
                "the grid memory takes no mode, against or pairs: it measures training, with gatewise alone"
            )
        _memory(cells, threads, max_minutes, json=json)
        return

    if grid == "contended":
        if mode == "inference" or against or max_minutes is not None:
            raise ValueError(
                "the grid contended takes no mode, against or max-minutes: it measures training, beside torch.nn.LSTM"
            )
        _contended(cells, threads, pairs, json=json)
        return

    results = run(
        grid,
        cells=cells,
        mode=mode,
        threads=threads,
        pairs=pairs,
        against=against,
        max_minutes=max_minutes,
        reporter=_Printer(quiet=json),
    )
    if json:
        print(json_format.dumps(results.as_dict(), indent=1))
    else:
        print(summary(results))
    if results.ours_is_wrong:
        sys.exit(1)


def _memory(cells: tuple[str, ...], threads: int | None, max_minutes: float | None, *, json: bool) -> None:

    def report_progress(results: MemoryResults) -> None:
        last = results.measured[-1]
        print(f"{last.cell} {last.strategy} T={last.T}: done", file=sys.stderr, flush=True)

    results = measure(cells or ("lstm",), threads=threads, max_minutes=max_minutes, on_progress=report_progress)
    print(json_format.dumps(results.as_dict(), indent=1) if json else table(results))


def _contended(cells: tuple[str, ...], threads: int | None, pairs: int, *, json: bool) -> None:
    if not json:
        print(contended.HEADING)
    results = contended.measure(
        cells or ("lstm",),
        threads=threads,
        pairs=pairs,
        on_progress=lambda measured: print(
            contended.row(measured), file=sys.stderr if json else sys.stdout, flush=True
        ),
    )
    if json:
        print(json_format.dumps(results.as_dict(), indent=1))


class _Printer:
    """Prints cases when measured, unless quiet, and the time left on the error stream."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._displayed: set[str] = set()

    def started(self, results: BenchmarkResults) -> None:
        print(heading(results), file=sys.stderr if self._quiet else sys.stdout, flush=True)

    def measured(self, comparison: Comparison, left: int, seconds_left: float) -> None:
        if not self._quiet:
            print(block(comparison, self._displayed), flush=True)
        if left:
            cases = "1 case" if left == 1 else f"{left} cases"
            print(f"{cases} left, about {_duration(seconds_left)}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """Rounded up.

    >>> _duration(42), _duration(61)
    ('42 s', '2 min')
    """
    return f"{seconds:.0f} s" if seconds < 60 else f"{-(-seconds // 60):.0f} min"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command, and leave with its exit code.

    Args:
        arguments: the words after ``python -m benchmarks``; those of the process unless given.
    """
    app = App(
        name="benchmarks",
        default_command=bench,
        help_format="plaintext",
        help_epilogue="Try:\n  make bench ARGS='--mode training'\n  make bench ARGS='variants --max-minutes 5 --json'",
        version_flags=(),
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    run_app(app, arguments)


if __name__ == "__main__":
    main()
