"""What can be measured: cases, and the grids of them. Standard library alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from gatewise.cells import lookup
from gatewise.compiler import Plan, plan
from gatewise.equations import Cell

Mode = Literal["training", "inference"]
Grid = Literal["core", "full", "ragged", "reset", "variants", "bidirectional", "stream"]
MODES: tuple[Mode, ...] = get_args(Mode)
GRIDS: tuple[Grid, ...] = get_args(Grid)

CORE = ((1, 64, 100), (1, 256, 100), (32, 128, 100), (32, 256, 50), (64, 512, 20))
TORCH_CELLS = ("lstm", "gru_cudnn", "rnn_tanh")
# The plain cell that a variant's overhead is relative to.
PLAIN = {
    "peephole_lstm": "lstm",
    "peephole_lstm_full": "lstm",
    "gru_chung2014": "gru_cudnn",
    "gru_cho2014": "gru_cudnn",
    "slstm": "lstm",
}
_CELLS: dict[Grid, tuple[str, ...]] = {
    "core": TORCH_CELLS,
    "full": TORCH_CELLS,
    "ragged": ("lstm", "gru_cudnn"),
    "reset": ("lstm", "gru_cudnn"),
    "variants": ("peephole_lstm", "gru_chung2014", "slstm"),
    "bidirectional": ("lstm",),
    "stream": TORCH_CELLS,
}
_RESET_RATES = (0.001, 0.03, 0.1)
# What is spent at most on comparing one case with the reference, which runs step by step.
_CHECK_OPERATIONS = 2e10
_CHECK_STEPS = 200


@dataclass(frozen=True)
class Case:
    """One thing to time, in float32, input width I = H.

    Attributes:
        cell: its name.
        mode: ``training`` or ``inference``.
        B, H, T: batch, hidden width, steps.
        bidirectional: both directions.
        ragged: lengths uniform in [1, T].
        reset: probability of a boundary at every step of every row.
        stream: step by step, as the input comes.
        text: the canonical text of a cell that is not built in, else empty.
    """

    cell: str
    mode: Mode
    B: int
    H: int
    T: int
    bidirectional: bool = False
    ragged: bool = False
    reset: float = 0.0
    stream: bool = False
    text: str = ""

    @property
    def definition(self) -> Cell:
        """The cell."""
        return Cell.from_text(self.text) if self.text else lookup(self.cell)

    @property
    def built_in(self) -> str | None:
        """The cell's name, when it is a built-in one."""
        return None if self.text else self.cell

    def __str__(self) -> str:
        extras = [
            *(["both directions"] if self.bidirectional else []),
            *(["ragged"] if self.ragged else []),
            *([f"reset {self.reset:.1%}"] if self.reset else []),
            *(["step by step"] if self.stream else []),
        ]
        return ", ".join([f"{self.cell} {self.mode} B={self.B} H={self.H} T={self.T}", *extras])

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.bidirectional else 1

    def operations(self, row_steps: int | None = None) -> float:
        """Floating-point operations of a call's matrix products.

        Args:
            row_steps: steps summed over rows; B·T unless given.

        The backward pass has two products for every one of the forward pass.
        """
        each = 2.0 * _plan(self.definition).multiply_adds(self.H, self.H) * self.directions
        passes = 3 if self.mode == "training" else 1
        return each * passes * (self.B * self.T if row_steps is None else row_steps)

    def loop_operations(self, row_steps: int) -> float:
        """Floating-point operations of the recurrent products of one pass, forward or backward."""
        return float(2 * self.recurrent_blocks * self.H * self.H * self.directions * row_steps)

    @property
    def recurrent_blocks(self) -> int:
        """Blocks (H, H) that a step multiplies by."""
        return len(_plan(self.definition).recurrent_products)

    def shortened(self) -> "Case":
        """The same with fewer steps, where comparing all of them with the reference would take minutes."""
        in_training = replace(self, mode="training").operations()
        affordable = math.floor(self.T * _CHECK_OPERATIONS / in_training)
        return replace(self, T=max(1, min(self.T, affordable, _CHECK_STEPS)))


@lru_cache(maxsize=32)
def _plan(cell: Cell) -> Plan:
    return plan(cell)


def cases(grid: Grid, cells: Sequence[str | Cell] = (), modes: Sequence[Mode] = MODES) -> list[Case]:
    """The cases of a grid, for its own cells unless others are named.

    Raises:
        ValueError: for an unknown grid or cell, or a cell that the grid has nothing to compare with.

    >>> [str(case) for case in cases("core", ["lstm"], ["training"])][:2]
    ['lstm training B=1 H=64 T=100', 'lstm training B=1 H=256 T=100']
    """
    if grid not in GRIDS:
        raise ValueError(f"grid: expected one of {', '.join(GRIDS)}, got {grid!r}")
    if grid == "stream" and "inference" not in modes:
        raise ValueError(
            "mode: the grid stream is of inference alone; steps with gradients are those of the other grids"
        )
    wanted: list[tuple[str, str]] = []
    for cell in cells or _CELLS[grid]:
        name, text = (cell, "") if isinstance(cell, str) else (cell.name, cell.text)
        if not text:
            lookup(name)
        if grid == "variants" and (text or name not in PLAIN):
            raise ValueError(f"cells: the grid variants compares {', '.join(PLAIN)} with their plain form, not {name}")
        wanted.append((name, text))
    return [replace(case, text=text) for name, text in wanted for mode in modes for case in _cases(grid, name, mode)]


def _cases(grid: Grid, cell: str, mode: Mode) -> list[Case]:
    match grid:
        case "ragged":
            return [Case(cell, mode, 32, 128, 1000, ragged=True)]
        case "reset":
            return [Case(cell, mode, *shape, reset=rate) for shape in CORE[2:4] for rate in _RESET_RATES]
        case "stream":
            shapes = [(1, hidden, 200) for hidden in (64, 256)]
            return [Case(cell, mode, *shape, stream=True) for shape in shapes] if mode == "inference" else []
        case "full":
            return [
                Case(cell, mode, batch, hidden, steps)
                for steps in (1, 32, 128, 1024)
                for batch in (1, 4, 16, 64, 256)
                for hidden in (32, 64, 128, 256, 512, 1024)
            ]
        case _:
            return [Case(cell, mode, *shape, bidirectional=grid == "bidirectional") for shape in CORE]
