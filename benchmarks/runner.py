"""Running a grid."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

import torch

from benchmarks import machine
from benchmarks.cases import MODES, Case, Grid, Mode, cases
from benchmarks.comparison import PEERS, PeerName, compare
from benchmarks.results import BenchmarkResults, Comparison
from benchmarks.workers.client import LIBRARIES, Worker, WorkerError, missing
from gatewise.equations import Cell
from gatewise.equations.load import is_file_reference, load_cell

DEFAULT_PEERS: dict[Grid, tuple[PeerName, ...]] = {
    "core": ("torch", "loop", "onnxruntime", "jax"),
    "full": ("torch", "onnxruntime", "jax"),
    "ragged": ("torch",),
    "reset": (),
    "variants": ("loop", "onnxruntime", "jax"),
    "bidirectional": ("torch", "onnxruntime"),
    "stream": ("torch", "onnxruntime"),
}
FEWEST_PAIRS = 10
# Bytes for every unit and step that the hungriest contender, a loop that trains, keeps: about forty values.
_BYTES_PER_UNIT = 160
# Until large products have been timed.
_LEAST_GFLOPS = 20.0


class Reporter(Protocol):
    """Receives the progress of a run."""

    def started(self, results: BenchmarkResults) -> None:
        """Before the first case."""
        ...

    def measured(self, comparison: Comparison, left: int, seconds_left: float) -> None:
        """After a case, with how many are left and how long they may take."""
        ...


def run(
    grid: Grid = "core",
    *,
    cells: Sequence[str | Cell] = (),
    mode: Mode | None = None,
    threads: int | None = None,
    pairs: int = FEWEST_PAIRS,
    against: Sequence[PeerName] = (),
    max_minutes: float | None = None,
    reporter: Reporter | None = None,
) -> BenchmarkResults:
    """Time the layers against the alternatives, on this machine, interleaved in one run.

    Every contender is first compared with the reference in float64, outputs and gradients; a wrong one is not timed.

    Args:
        grid: which cases: ``core``, ``full``, ``ragged``, ``reset``, ``variants``, ``bidirectional`` or
            ``stream``.
        cells: names of built-in cells, ``FILE.py:NAME`` or a `Cell` of your own; by default the grid's.
        mode: ``training`` or ``inference``; both unless given.
        threads: for every contender; torch's number unless given.
        pairs: rounds in which every contender takes its turn, at least 10.
        against: whom of ``torch``, ``loop`` (eager Python), ``compiled`` (the loop through torch.compile),
            ``onnxruntime`` and ``jax``; by default those that are installed and have what the grid asks for, but
            ``compiled``, which takes long.
        max_minutes: skip cases that no longer fit.
        reporter: receives the progress.

    Raises:
        ValueError: for a value that is none of these, or a library named that is not installed.
    """
    own = [load_cell(cell) if isinstance(cell, str) and is_file_reference(cell) else cell for cell in cells]
    wanted = cases(grid, own, _modes(mode))
    peers, unavailable = _peers(against, grid)
    _check_at_least("pairs", pairs, FEWEST_PAIRS)
    if threads is not None:
        _check_at_least("threads", threads, 1)
    if max_minutes is not None and not max_minutes > 0:
        raise ValueError(f"max_minutes: expected more than 0, got {max_minutes}")
    before = torch.get_num_threads()
    load = machine.load_average()
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    try:
        torch.set_num_threads(threads or before)
        results = BenchmarkResults(grid, machine.describe(), pairs, load, unavailable=unavailable)
        if (warning := machine.load_warning(load)) is not None:
            results.warnings.append(warning)
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for library in LIBRARIES:
                if library not in peers:
                    continue
                try:
                    workers[library] = stack.enter_context(Worker(library, torch.get_num_threads()))
                    results.machine[library] = workers[library].version
                except WorkerError as error:
                    results.unavailable.append(str(error))
                    peers.remove(library)
            if reporter is not None:
                reporter.started(results)
            others = machine.OtherProcesses([worker.pid for worker in workers.values()])
            _measure(wanted, grid, peers, workers, results, deadline, reporter)
            results.other_processes = others.processors()
    finally:
        torch.set_num_threads(before)
    if results.other_processes is not None and results.other_processes > machine.BUSY / 2:
        results.warnings.append(
            f"other processes kept {results.other_processes:.1f} processors busy meanwhile: these times are worthless"
        )
    return results


def _measure(
    wanted: list[Case],
    grid: Grid,
    peers: Sequence[PeerName],
    workers: dict[str, Worker],
    results: BenchmarkResults,
    deadline: float | None,
    reporter: Reporter | None,
) -> None:
    started, done = time.monotonic(), 0
    for index, case in enumerate(wanted):
        bytes_needed = _BYTES_PER_UNIT * case.B * case.H * case.T * case.directions
        if bytes_needed > machine.available_memory():
            results.skipped.setdefault("too little memory", []).append(str(case))
            continue
        each = (time.monotonic() - started) / done if done else 0.0
        needed = max(each, _seconds_at_least(case, results))
        if deadline is not None and done and time.monotonic() + needed > deadline:
            results.skipped.setdefault("no time left", []).append(str(case))
            continue
        comparison = compare(case, grid, peers, workers, results.pairs)
        results.comparisons.append(comparison)
        done += 1
        if reporter is not None:
            left = wanted[index + 1 :]
            each = (time.monotonic() - started) / done
            reporter.measured(comparison, len(left), sum(max(each, _seconds_at_least(one, results)) for one in left))


def _seconds_at_least(case: Case, results: BenchmarkResults) -> float:
    """What the calls of a case take: two in every turn of about four contenders, at the rate of torch's products."""
    rate = max([_LEAST_GFLOPS, *(comparison.mm_gflops for comparison in results.comparisons)])
    return 8 * results.pairs * case.operations() / (1e9 * rate)


def _modes(mode: Mode | None) -> tuple[Mode, ...]:
    if mode is None:
        return MODES
    if mode not in MODES:
        raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    return (mode,)


def _peers(against: Sequence[PeerName], grid: Grid) -> tuple[list[PeerName], list[str]]:
    """Whom to compare with, and why others are not there."""
    for peer in against:
        if peer not in PEERS:
            raise ValueError(f"against: expected some of {', '.join(PEERS)}, got {peer!r}")
    unavailable = {library: why for library in LIBRARIES if (why := missing(library)) is not None}
    for peer in against:
        if peer in unavailable:
            raise ValueError(f"against: {unavailable[peer]}")
    wanted = list(dict.fromkeys(against or DEFAULT_PEERS[grid]))
    return [peer for peer in wanted if peer not in unavailable], [
        unavailable[peer] for peer in wanted if peer in unavailable
    ]


def _check_at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
