"""The grid ``memory``: bytes and time of training against the number of steps, each in a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import torch

from benchmarks import machine
from gatewise.cells import lookup
from gatewise.equations import Cell
from gatewise.equations.load import is_file_reference, load_cell

Strategy = Literal["plain", "checkpointed", "tbptt"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
STEPS = (1_000, 3_000, 10_000, 30_000, 100_000)
BATCH, HIDDEN = 8, 256
# Steps of a window of truncated back-propagation, both k1 and k2.
WINDOW = 100
# Bytes for every unit and step: input, output and their gradients, and what the plain path keeps and computes.
_CALLERS = 4 * 4
_BYTES_PER_UNIT: dict[Strategy, int] = {"plain": _CALLERS + 80, "checkpointed": _CALLERS + 4, "tbptt": _CALLERS}
FORMAT = 2


@dataclass(frozen=True)
class Measurement:
    """One strategy to train over a sequence of B = 8 rows, I = H = 256, in float32.

    Attributes:
        cell: its name.
        strategy: ``plain``; ``checkpointed`` (``checkpoint_every="auto"``); or ``tbptt`` (windows of 100 steps).
        T: steps.
        own_bytes: the most memory of the process, beyond what it had before, output, and gradient of the input.
        us_per_step: microseconds per step of forward and backward, the median call.
    """

    cell: str
    strategy: Strategy
    T: int
    own_bytes: int
    us_per_step: float


@dataclass
class MemoryResults:
    """Everything a run found.

    Attributes:
        machine: versions, threads, processor.
        load_average: at the start.
        warnings: why the times may say little.
        measured: in the order of the cells and steps.
        skipped: what was not measured, by the reason.
    """

    machine: dict[str, str | int]
    load_average: float
    warnings: list[str] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"format": FORMAT, "grid": "memory", **asdict(self)}


def measure(
    cells: Sequence[str | Cell] = ("lstm",),
    *,
    steps: Sequence[int] = STEPS,
    threads: int | None = None,
    max_minutes: float | None = None,
    on_progress: Callable[[MemoryResults], None] = lambda results: None,
) -> MemoryResults:
    """Measure every strategy at every number of steps.

    Args:
        cells: names of built-in cells, ``FILE.py:NAME`` or a `Cell` of your own.
        steps: T.
        threads: torch's number unless given.
        max_minutes: skip what no longer fits.
        on_progress: called after each measurement, with what there is so far.

    Raises:
        ValueError: for an unknown cell, or a number below 1.
        OSError: where the system does not report the memory of a process (Linux does).
    """
    own = [load_cell(cell) if isinstance(cell, str) and is_file_reference(cell) else cell for cell in cells]
    texts = [(lookup(cell) if isinstance(cell, str) else cell) for cell in own]
    for name, values in (("steps", steps), ("threads", [threads or 1])):
        for value in values:
            if value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
    load = machine.load_average()
    results = MemoryResults(machine.describe() | {"threads": threads or torch.get_num_threads()}, load)
    if (warning := machine.load_warning(load)) is not None:
        results.warnings.append(warning)
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    slowest = 0.0
    for cell in texts:
        for count in steps:
            for strategy in STRATEGIES:
                name = f"{cell.name} {strategy} T={count}"
                if _BYTES_PER_UNIT[strategy] * BATCH * HIDDEN * count > machine.available_memory():
                    results.skipped.setdefault("too little memory", []).append(name)
                    continue
                if deadline is not None and time.monotonic() + 2 * slowest * count > deadline:
                    results.skipped.setdefault("no time left", []).append(name)
                    continue
                found = _in_a_process(cell, strategy, count, int(results.machine["threads"]))
                slowest = max(slowest, found.us_per_step / 1e6)
                results.measured.append(found)
                on_progress(results)
    return results


def _in_a_process(cell: Cell, strategy: Strategy, steps: int, threads: int) -> Measurement:
    words = json.dumps({"cell": cell.text, "strategy": strategy, "steps": steps, "threads": threads})
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_process", words], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        last = ended.stderr.strip().splitlines() or [f"code {ended.returncode}"]
        raise OSError(f"the process that trains {cell.name} {strategy} over {steps} steps ended with: {last[-1]}")
    own_bytes, seconds = json.loads(ended.stdout)
    return Measurement(cell.name, strategy, steps, own_bytes, 1e6 * seconds / steps)


def table(results: MemoryResults) -> str:
    """The numbers side by side."""
    about = results.machine
    lines = [
        f"{about['processor']}, {about['threads']} of {about['processors']} processors, float32; gatewise "
        f"{about['gatewise']}, torch {about['torch']}; load average {results.load_average:.2f} at the start",
        f"Training, B={BATCH}, I=H={HIDDEN}: memory of the process beyond input, output and their gradients;",
        f'checkpointed: checkpoint_every="auto"; tbptt: windows of {WINDOW} steps. Times beside plain at the same T.',
        "",
        f"{'cell':18} {'T':>8}  {'strategy':12} {'MB':>8}  {'µs a step':>9}  {'times':>5}",
    ]
    plain = {(one.cell, one.T): one.us_per_step for one in results.measured if one.strategy == "plain"}
    for one in results.measured:
        beside = plain.get((one.cell, one.T))
        ratio = "" if beside is None else f"{one.us_per_step / beside:.2f}"
        lines.append(
            f"{one.cell:18} {one.T:8}  {one.strategy:12} {one.own_bytes / 1e6:8.1f}  {one.us_per_step:9.1f}  {ratio:>5}"
        )
    lines += [f"skipped, {why}: {'; '.join(cases)}" for why, cases in results.skipped.items()]
    return "\n".join([*lines, *(f"WARNING: {warning}" for warning in results.warnings)])
