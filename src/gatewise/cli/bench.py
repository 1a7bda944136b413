"""``gatewise bench``: the layers timed beside what could be used instead."""

import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from gatewise.benchmarks.outcome import Comparison, Outcome

_SEVERAL = Parameter(consume_multiple=True, negative=())


def bench(
    grid: Literal["core", "full", "ragged", "reset", "variants", "bidirectional", "stream", "memory"] = "core",
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

    Every side is first compared with the reference in float64; a wrong answer is not timed. Exit code 1 when ours is
    wrong. Run it on a machine that does nothing else.

    Parameters
    ----------
    grid
        Which shapes and options: core, full, ragged rows, resets, cells that torch.nn lacks, both directions,
        single steps as they come; or the memory that training takes, plain, checkpointed and truncated.
    cells
        Built-in cells, or FILE.py:NAME for one of your own, instead of the grid's.
    mode
        Training (forward and backward) or inference only.
    threads
        Threads of every side; by default torch's number.
    pairs
        Rounds in which every side takes its turn, at least 10.
    against
        With whom to compare; by default all that are installed, but compiled (the loop through torch.compile).
    max_minutes
        Leave out what no longer fits.
    json
        Print everything as JSON.
    """
    if grid == "memory":
        if mode == "inference" or against or pairs != 10:
            raise ValueError("the grid memory is of training, by ways of our own: mode, against and pairs say nothing")
        _memory(cells, threads, max_minutes, json=json)
        return
    from gatewise.benchmarks.running import bench as run

    outcome = run(
        grid,
        cells=cells,
        mode=mode,
        threads=threads,
        pairs=pairs,
        against=against,
        max_minutes=max_minutes,
        watcher=_Printer(quiet=json),
    )
    if json:
        print(json_format.dumps(outcome.as_dict(), indent=1))
    else:
        from gatewise.benchmarks.report import summary

        print(summary(outcome))
    if outcome.ours_is_wrong:
        sys.exit(1)


def _memory(cells: tuple[str, ...], threads: int | None, max_minutes: float | None, *, json: bool) -> None:
    from gatewise.benchmarks.memory import MemoryOutcome, measure, table

    def told(outcome: MemoryOutcome) -> None:
        last = outcome.measured[-1]
        print(f"{last.cell} {last.way} T={last.T}: done", file=sys.stderr, flush=True)

    outcome = measure(cells or ("lstm",), threads=threads, max_minutes=max_minutes, told=told)
    print(json_format.dumps(outcome.as_dict(), indent=1) if json else table(outcome))


class _Printer:
    """Prints points as they come, unless quiet, and the time left on the error stream."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._told: set[str] = set()

    def started(self, outcome: "Outcome") -> None:
        from gatewise.benchmarks.report import heading

        print(heading(outcome), file=sys.stderr if self._quiet else sys.stdout, flush=True)

    def measured(self, comparison: "Comparison", left: int, seconds_left: float) -> None:
        from gatewise.benchmarks.report import block

        if not self._quiet:
            print(block(comparison, self._told), flush=True)
        if left:
            points = "1 point" if left == 1 else f"{left} points"
            print(f"{points} left, about {_duration(seconds_left)}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """Rounded up.

    >>> _duration(42), _duration(61)
    ('42 s', '2 min')
    """
    return f"{seconds:.0f} s" if seconds < 60 else f"{-(-seconds // 60):.0f} min"
