"""The grid ``contended``: training beside a program that never rests, pinned to one of the processors."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

import gatewise
from benchmarks import machine
from benchmarks.functions import beside
from benchmarks.statistics import Quartiles, ratio_text
from gatewise.cells import lookup
from gatewise.equations.load import is_file_reference, load_cell

# B, H = I, T: shared out by rows; by units, large and small.
SHAPES = ((32, 128, 100), (64, 512, 20), (1, 256, 100))
FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """Calls of one shape, forward and backward, in float32.

    Attributes:
        cell: its name; "torch.nn.LSTM" for torch's.
        shape: B, H = I, T.
        quiet: milliseconds of a call on all threads, without the other program.
        contended: the same beside it.
        one: milliseconds on one thread beside it.
        ratio: of the last two, within a round.
        same_bits: whether the gradients of quiet and contended calls are equal.
    """

    cell: str
    shape: tuple[int, int, int]
    quiet: Quartiles
    contended: Quartiles
    one: Quartiles
    ratio: Quartiles
    same_bits: bool


@dataclass
class ContendedResults:
    """Everything a run found."""

    machine: dict[str, str | int]
    load_average: float
    measured: list[Measurement] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"format": FORMAT, "grid": "contended", **asdict(self)}


@contextmanager
def busy_processor() -> Iterator[None]:
    """Another program uses the last processor of this process, all the time.

    Raises:
        ValueError: where processes cannot be pinned.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise ValueError("grid contended: expected a system that pins processes to processors (Linux)")
    processor = max(os.sched_getaffinity(0))
    script = f"import os\nos.sched_setaffinity(0, {{{processor}}})\nwhile True:\n    pass"
    program = subprocess.Popen([sys.executable, "-c", script])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def measure(
    cells: Sequence[str] = ("lstm",),
    *,
    threads: int | None = None,
    pairs: int = 10,
    shapes: Sequence[tuple[int, int, int]] = SHAPES,
    on_progress: Callable[[Measurement], None] = lambda measured: None,
) -> ContendedResults:
    """Time training calls of layers, and of torch.nn.LSTM, in turns with the same calls on one thread.

    Args:
        cells: names of built-in cells, or ``FILE.py:NAME``.
        threads: of a team; by default torch's number.
        pairs: rounds.
        shapes: B, H = I, T.
        on_progress: called after each measurement.

    Raises:
        ValueError: for fewer than two threads, an unknown cell, or a system that pins no processes.
    """
    before = torch.get_num_threads()
    threads = before if threads is None else threads
    if threads < 2:
        raise ValueError(f"threads: expected 2 or more, the team that is disturbed, got {threads}")
    found = [load_cell(name) if is_file_reference(name) else lookup(name) for name in cells]
    torch.set_num_threads(threads)
    results = ContendedResults(machine.describe(), machine.load_average())
    try:
        for shape in shapes:
            layers = {cell.name: gatewise.Recurrent(cell, shape[1], shape[1]) for cell in found}
            for name, layer in {**layers, "torch.nn.LSTM": torch.nn.LSTM(shape[1], shape[1])}.items():
                results.measured.append(_measured(name, layer, shape, threads, pairs))
                on_progress(results.measured[-1])
    finally:
        torch.set_num_threads(before)
    return results


def _measured(name: str, layer: torch.nn.Module, shape: tuple[int, int, int], threads: int, pairs: int) -> Measurement:
    batch, width, steps = shape
    x = torch.randn(steps, batch, width, requires_grad=True)
    upstream = torch.randn(steps, batch, width)

    def gradients(count: int) -> tuple[Tensor, ...]:
        torch.set_num_threads(count)
        return torch.autograd.grad(layer(x)[0], [x, *layer.parameters()], upstream)

    quiet = gradients(threads)
    quiet_times = beside(lambda: gradients(threads), lambda: gradients(1), pairs).first
    with busy_processor():
        for _ in range(8):
            gradients(threads)
        contended = gradients(threads)
        times = beside(lambda: gradients(threads), lambda: gradients(1), pairs)
    return Measurement(
        name,
        shape,
        quiet_times,
        times.first,
        times.second,
        times.ratio,
        all(map(torch.equal, quiet, contended)),
    )


HEADING = """| | B, H, T | quiet, ms | contended, ms | one thread beside it, ms | contended by one thread | same bits |
|---|---|---|---|---|---|---|"""


def row(measured: Measurement) -> str:
    """A measurement as a row of a Markdown table."""
    shape = ", ".join(map(str, measured.shape))
    times = " | ".join(f"{1e3 * one.median:.2f}" for one in (measured.quiet, measured.contended, measured.one))
    bits = "yes" if measured.same_bits else "no"
    return f"| {measured.cell} | {shape} | {times} | {ratio_text(measured.ratio)} | {bits} |"
