"""What a kernel is asked to compute: one layer, one or both directions, a whole sequence."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels.recording import Record

Directions = Literal["forward", "reverse", "bidirectional"]

# Operators carry a cell as text; a process meets few cells, so each is read once.
cell_of_text = lru_cache(maxsize=256)(Cell.from_text)


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of one layer's computation over a sequence.

    Attributes:
        cell: the equations.
        x: (T, B, I).
        initial: per state (D, B, H).
        parameters: per direction, then per group of the cell, the stacked tensor of `Cell.parameter_shape`.
        lengths: (B,) int64 on the device of x, or None when every row has T steps.
        reset: (T, B) bool on the device of x, or None; true at t is a boundary between t−1 and t.
        directions: which way the sequence is read.
        record: what is to be written down of it, or None.
        window_of: the call that this is a window of, or None; rows are taken together, and shared out, as there.
    """

    cell: Cell
    x: Tensor
    initial: tuple[Tensor, ...]
    parameters: tuple[Tensor, ...]
    lengths: Tensor | None
    reset: Tensor | None
    directions: Directions
    record: Record | None = None
    window_of: "Call | None" = None

    @property
    def direction_count(self) -> int:
        """D: 1 or 2."""
        return 2 if self.directions == "bidirectional" else 1

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.initial[0].shape[-1]

    @property
    def whole(self) -> "Call":
        """The call that this is a window of, or itself."""
        return self if self.window_of is None else self.window_of

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that a gradient can be asked of: x, initial states, parameters."""
        return (self.x, *self.initial, *self.parameters)

    def with_tensors(self, tensors: tuple[Tensor, ...]) -> "Call":
        """The same call on other values of `tensors`."""
        states = len(self.cell.states)
        return replace(self, x=tensors[0], initial=tensors[1 : 1 + states], parameters=tensors[1 + states :])

    def single_directions(self) -> list["Call"]:
        """The call as one call per direction, forward first."""
        if self.directions != "bidirectional":
            return [self]
        groups = len(self.cell.groups)
        names: tuple[Directions, Directions] = ("forward", "reverse")
        return [
            replace(
                self,
                initial=tuple(state[at : at + 1] for state in self.initial),
                parameters=self.parameters[at * groups : (at + 1) * groups],
                directions=name,
                record=None if self.record is None else self.record.of_direction(at),
            )
            for at, name in enumerate(names)
        ]

    def window(self, start: int, stop: int, initial: tuple[Tensor, ...]) -> "Call":
        """The call on the steps from start to stop, from the state that reaches them."""
        return replace(
            self,
            x=self.x[start:stop],
            initial=initial,
            lengths=None if self.lengths is None else (self.lengths - start).clamp(0, stop - start),
            reset=None if self.reset is None else self.reset[start:stop],
            window_of=self.whole,
            record=None if self.record is None else self.record.of_rows(start * self.x.shape[1]),
        )

    def check_values(self) -> None:
        """Check what only the values tell.

        Raises:
            ValueError: for lengths out of range.
        """
        if self.lengths is None or self.lengths.numel() == 0:
            return
        steps, shortest, longest = self.x.shape[0], int(self.lengths.min()), int(self.lengths.max())
        if shortest < 0 or longest > steps:
            wrong = shortest if shortest < 0 else longest
            raise ValueError(
                f"lengths: expected values between 0 and T={steps}, the number of steps of input, got {wrong}; "
                "pass the number of valid steps of each row"
            )
