"""Random cells on the engine against the reference, for as long as asked.

    PYTHONPATH=src:. python -m tests.compiler.fuzz --minutes 10

A batch of cells is planned, emitted and compiled, then each runs on calls of any shape: both number types, all
directions, lengths, resets, checkpoints, with and without gradients, some of them wanted, and watched. What disagrees
is printed with the seed of its batch, which ``--seed`` runs again; the exit code is 1 if anything does.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatewise.compiler import simplify
from gatewise.equations import Cell
from gatewise.kernels import Call, Choice, run
from gatewise.kernels.observers import Record
from tests.agreement import possible_heads
from tests.compiler.agreement import Run, furthest, outcome, shaken
from tests.compiler.compiled import compiled_cells
from tests.compiler.evaluation import random_leaves
from tests.compiler.random_cells import some_cells
from tests.compiler.test_plan import assert_plan_runs
from tests.kernels.calls import DIRECTIONS, call_of, on_reference
from tests.kernels.cpu.workspaces import full_of_nan


@dataclass
class Seen:
    """An observer that keeps the gradient of every state after every step, (D, S, T·B, H); padding is zero."""

    call: Call
    wants_values: bool = True

    def __post_init__(self) -> None:
        steps, batch = self.call.x.shape[:2]
        shape = (self.call.direction_count, len(self.call.cell.states), steps * batch, self.call.hidden_size)
        self.values = torch.zeros(shape, dtype=torch.float64)

    def begin(self, call: Call, choice: Choice) -> None: ...

    def end(self, output: Tensor) -> None: ...

    def states(self, *_: Any) -> None: ...

    def gradients(
        self, direction: int, state: int | None, first: int, norms: Tensor, values: Tensor | None, index: Tensor | None
    ) -> None:
        assert values is not None
        rows = (torch.arange(len(values)) if index is None else index) + first
        columns = range(len(self.call.cell.states)) if state is None else (state,)
        for position, column in enumerate(columns):
            self.values[direction, column, rows] = (values[:, position] if state is None else values).double()
        if self.call.lengths is not None:
            steps, batch = self.call.x.shape[:2]
            past = torch.arange(steps)[:, None] >= self.call.lengths
            self.values[:, :, past.view(steps * batch)] = 0


def _own_values(cell: Cell) -> bool:
    """Whether no state is another value by an identity, as min(c, c) is c: the engine gives both one gradient."""
    return all(simplify([output])[0].op == output.op for output in cell.outputs)


@dataclass
class Trial:
    """One call and how it is run."""

    cell: Cell
    options: dict[str, Any]
    wanted: list[bool]
    gradients: bool
    checkpoint_every: int | None
    observed: bool

    @classmethod
    def draw(cls, cell: Cell, draw: random.Random) -> "Trial":
        """Any of them."""
        steps, batch = draw.randint(1, 7), draw.choice((1, 1, 2, 3, 5, 9, 17))
        options = {
            "directions": draw.choice(DIRECTIONS),
            "steps": steps,
            "batch": batch,
            "input_size": draw.randint(1, 5),
            "hidden_size": (hidden := draw.choice((*range(1, 10), 16, 17, 33, 40))),
            "heads": draw.choice(possible_heads(cell, hidden)),
            "lengths": [draw.randint(0, steps) for _ in range(batch)] if draw.random() < 0.4 else None,
            "reset": draw.random() < 0.4,
            "dtype": draw.choice((torch.float64, torch.float64, torch.float32)),
            "seed": draw.randrange(1 << 30),
        }
        directions = 2 if options["directions"] == "bidirectional" else 1
        count = 1 + len(cell.states) + directions * len(cell.groups)
        every = draw.randint(1, steps) if draw.random() < 0.2 else None
        gradients, observed = draw.random() < 0.8, draw.random() < 0.3 and _own_values(cell)
        # The reference follows no gradient inside a step between states that lead to nothing wanted.
        everything = observed or draw.random() < 0.4
        wanted = [everything or draw.random() < 0.5 for _ in range(count)]
        return cls(cell, options, wanted, gradients, every, observed)

    def call(self) -> Call:
        """The call; its tensors want gradients as drawn."""
        made = call_of(self.cell, **self.options)
        pairs = zip(made.tensors, self.wanted, strict=True)
        return made.with_tensors(tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in pairs))

    def results(self, runs: Run, call: Call) -> tuple[Tensor, ...]:
        """All that can be compared."""
        if not (self.observed and self.gradients):
            with nullcontext() if self.gradients else torch.no_grad():
                return outcome(runs, call)
        seen = Seen(call)
        return *outcome(lambda one: runs(replace(one, record=Record((seen,)))), call), seen.values

    def fault(self) -> str | None:
        """What is wrong with it on the engine, or None."""
        call = self.call()
        exact = call.with_tensors(
            tuple(tensor.detach().double().requires_grad_(tensor.requires_grad) for tensor in call.tensors)
        )
        single = self.options["dtype"] == torch.float32
        expected = self.results(on_reference, exact)
        # Comparisons of what is equal but for rounding, and numbers that grow beyond all bounds, decide nothing.
        by, most = (1e-7, 1e-3) if single else (1e-12, 1e-8)
        if not furthest(self.results(on_reference, shaken(exact, by)), expected) < most:
            return None
        allowed = 1e-10
        if single:
            allowed = 1e-5 + 8 * furthest(self.results(on_reference, call), expected)
        engine: Run = lambda one: run(replace(one, checkpoint_every=self.checkpoint_every), backend="cpu")  # noqa: E731
        for _ in range(3):  # repeated calls may take another path
            with full_of_nan():
                actual = self.results(engine, self.call())
            if not (off := furthest(actual, expected)) <= allowed:
                each = [f"{furthest([a], [b]):.1e}" for a, b in zip(actual, expected, strict=True)]
                return f"off by {off:.1e}, allowed {allowed:.1e}; by result: {' '.join(each)}"
        return None


def faults(cells: list[Cell], draw: random.Random, trials: int) -> Iterator[str]:
    """What is wrong with some cells, a text each."""
    emitted: dict[str, tuple[Cell, str]] = {}
    for position, cell in enumerate(cells):
        try:
            assert_plan_runs(cell, random_leaves(cell, draw.randrange(1 << 30), scale=0.7))
        except Exception:
            yield f"its plan: {traceback.format_exc(limit=-3)}\n{cell.text}"
        else:
            emitted[cell.equations] = cell, f"random_{position}"
    with tempfile.TemporaryDirectory(prefix="gatewise-fuzz-") as folder, compiled_cells(emitted, Path(folder)):
        for cell, _ in emitted.values():
            for _ in range(trials):
                trial = Trial.draw(cell, draw)
                try:
                    wrong = trial.fault()
                except Exception:
                    wrong = traceback.format_exc(limit=-4)
                if wrong is not None:
                    yield f"{wrong}\n{trial}\n{cell.text}"
                    break


def main() -> int:
    """Batches until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="of the first batch; default: of the clock")
    parser.add_argument("--cells", type=int, default=32, help="in a batch")
    parser.add_argument("--trials", type=int, default=12, help="calls of each cell")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    end, tried, wrong = time.monotonic() + 60 * options.minutes, 0, 0
    while tried == 0 or time.monotonic() < end:
        batch = some_cells(options.cells, seed, reductions=seed % 2 == 0)
        for fault in faults(batch, random.Random(seed), options.trials):
            wrong += 1
            print(f"--- seed {seed}: {fault}", flush=True)
        tried, seed = tried + len(batch), seed + 1
    print(f"{tried} cells, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
