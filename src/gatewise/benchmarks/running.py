"""Running a grid."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

import torch

from gatewise.benchmarks import machine
from gatewise.benchmarks.comparing import PEERS, PeerName, compare
from gatewise.benchmarks.outcome import Comparison, Outcome
from gatewise.benchmarks.points import MODES, Grid, Mode, Point, points
from gatewise.benchmarks.workers.client import LIBRARIES, Worker, WorkerError, missing
from gatewise.equations import Cell
from gatewise.equations.in_file import cell_in_file, names_file

DEFAULT_PEERS: dict[Grid, tuple[PeerName, ...]] = {
    "core": ("torch", "loop", "onnxruntime", "jax"),
    "full": ("torch", "onnxruntime", "jax"),
    "ragged": ("torch",),
    "reset": (),
    "variants": ("loop", "onnxruntime", "jax"),
    "bidirectional": ("torch", "onnxruntime"),
    "stream": ("torch",),
}
FEWEST_PAIRS = 10
# Bytes for every unit and step that the hungriest side, a loop that trains, keeps: about forty values.
_BYTES_PER_UNIT = 160
# Until large products have been timed.
_LEAST_GFLOPS = 20.0


class Watcher(Protocol):
    """Told how a run goes on."""

    def started(self, outcome: Outcome) -> None:
        """Before the first point."""
        ...

    def measured(self, comparison: Comparison, left: int, seconds_left: float) -> None:
        """After a point, with how many are left and how long they may take."""
        ...


def bench(
    grid: Grid = "core",
    *,
    cells: Sequence[str | Cell] = (),
    mode: Mode | None = None,
    threads: int | None = None,
    pairs: int = FEWEST_PAIRS,
    against: Sequence[PeerName] = (),
    max_minutes: float | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Time the layers beside what could be used instead, on this machine, interleaved in one run.

    Every side is first compared with the reference in float64, outputs and gradients; a wrong one is not timed.

    Arguments:
        grid: which points: ``core``, ``full``, ``ragged``, ``reset``, ``variants``, ``bidirectional`` or
            ``stream``.
        cells: names of built-in cells, ``FILE.py:NAME`` or a `Cell` of your own; by default the grid's.
        mode: ``training`` or ``inference``; both unless given.
        threads: for every side; torch's number unless given.
        pairs: rounds in which every side takes its turn, at least 10.
        against: whom of ``torch``, ``loop`` (eager Python), ``compiled`` (the loop through torch.compile),
            ``onnxruntime`` and ``jax``; by default those that are installed and have what the grid asks for, but
            ``compiled``, which takes long.
        max_minutes: points that no longer fit are left out.
        watcher: told how it goes on.

    Raises:
        ValueError: for a value that is none of these, or a library named that is not installed.
    """
    own = [cell_in_file(cell) if isinstance(cell, str) and names_file(cell) else cell for cell in cells]
    wanted = points(grid, own, _modes(mode))
    peers, absent = _peers(against, grid)
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
        outcome = Outcome(grid, machine.describe(), pairs, load, absent=absent)
        if (warning := machine.load_warning(load)) is not None:
            outcome.warnings.append(warning)
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for library in LIBRARIES:
                if library not in peers:
                    continue
                try:
                    workers[library] = stack.enter_context(Worker(library, torch.get_num_threads()))
                    outcome.machine[library] = workers[library].version
                except WorkerError as error:
                    outcome.absent.append(str(error))
                    peers.remove(library)
            if watcher is not None:
                watcher.started(outcome)
            others = machine.Others([worker.pid for worker in workers.values()])
            _measure(wanted, grid, peers, workers, outcome, deadline, watcher)
            outcome.others_processors = others.processors()
    finally:
        torch.set_num_threads(before)
    if outcome.others_processors is not None and outcome.others_processors > machine.BUSY / 2:
        outcome.warnings.append(
            f"other processes kept {outcome.others_processors:.1f} processors busy meanwhile: these times are worthless"
        )
    return outcome


def _measure(
    wanted: list[Point],
    grid: Grid,
    peers: Sequence[PeerName],
    workers: dict[str, Worker],
    outcome: Outcome,
    deadline: float | None,
    watcher: Watcher | None,
) -> None:
    started, done = time.monotonic(), 0
    for at, point in enumerate(wanted):
        bytes_needed = _BYTES_PER_UNIT * point.B * point.H * point.T * point.directions
        if bytes_needed > machine.available_memory():
            outcome.left_out.setdefault("too little memory", []).append(str(point))
            continue
        each = (time.monotonic() - started) / done if done else 0.0
        needed = max(each, _seconds_at_least(point, outcome))
        if deadline is not None and done and time.monotonic() + needed > deadline:
            outcome.left_out.setdefault("no time left", []).append(str(point))
            continue
        comparison = compare(point, grid, peers, workers, outcome.pairs)
        outcome.comparisons.append(comparison)
        done += 1
        if watcher is not None:
            left = wanted[at + 1 :]
            each = (time.monotonic() - started) / done
            watcher.measured(comparison, len(left), sum(max(each, _seconds_at_least(one, outcome)) for one in left))


def _seconds_at_least(point: Point, outcome: Outcome) -> float:
    """What the calls of a point take: two in every turn of about four sides, at the rate of torch's products."""
    rate = max([_LEAST_GFLOPS, *(comparison.mm_gflops for comparison in outcome.comparisons)])
    return 8 * outcome.pairs * point.operations() / (1e9 * rate)


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
    absent = {library: why for library in LIBRARIES if (why := missing(library)) is not None}
    for peer in against:
        if peer in absent:
            raise ValueError(f"against: {absent[peer]}")
    wanted = list(dict.fromkeys(against or DEFAULT_PEERS[grid]))
    return [peer for peer in wanted if peer not in absent], [absent[peer] for peer in wanted if peer in absent]


def _check_at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
