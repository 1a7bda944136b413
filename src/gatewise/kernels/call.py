"""What a kernel is asked to compute: one layer, one or both directions, a whole sequence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Protocol

from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels.choice import Choice
from gatewise.kernels.masks import Masks, identity

Directions = Literal["forward", "reverse", "bidirectional"]

# Operators carry a cell as text; a process meets few cells, so each is read once.
cell_of_text = lru_cache(maxsize=256)(Cell.from_text)


# For a number of steps per segment in proportion to the root of all steps, so that memory grows like the root. With the
# root itself, what a call costs whatever its length would take a tenth of the time.
AUTO = 0
_ROOTS = 4


def check_lengths(lengths: Tensor, steps: int) -> None:
    """Check the values of lengths (B,).

    Raises:
        ValueError: when one is not between 0 and T.
    """
    if lengths.numel() == 0:
        return
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 0 or longest > steps:
        wrong = shortest if shortest < 0 else longest
        raise ValueError(
            f"lengths: expected values between 0 and T={steps}, the number of steps of input, got {wrong}; "
            "pass the number of valid steps of each row"
        )


class Observer(Protocol):
    """Receives the states of a call after every step, and their total gradients.

    Attributes:
        wants_values: whether it receives states and gradients, not only norms of the gradients.
    """

    @property
    def wants_values(self) -> bool: ...

    def of_direction(self, direction: int) -> "Observer":
        """The observer of one direction of a bidirectional call."""
        ...

    def of_rows(self, first: int) -> "Observer":
        """The observer of a window that begins at this row of (T·B)."""
        ...

    def begin(self, call: "Call", choice: Choice) -> None:
        """Called before a backend runs the call."""

    def end(self, output: Tensor) -> None:
        """Called after a backend has run it; output (T, B, D·H)."""

    def states(self, state: int, values: Tensor) -> None:
        """Receives the values (T·B, H) of a state."""

    def norms(self, state: int | None, norms: Tensor, values: Tensor | None) -> None:
        """Receives the norms (T·B, S) of the gradients of all states, and the gradients (T·B, S, H) if wanted."""

    def observed(self, step: int, states: Sequence[Tensor], made: Sequence[bool], *, history: bool) -> list[Tensor]:
        """The states after a step with hooks that report their gradients."""
        ...


@dataclass(eq=False, slots=True)
class Call:
    """The arguments of one layer's computation over a sequence.

    Attributes:
        cell: the equations.
        x: (T, B, I).
        initial: (D, B, H) per state, or (D, B, P) where the state has that width; empty for zeros.
        parameters: per direction, then per group of the cell, the stacked tensor of `Cell.parameter_shape`.
        lengths: (B,) int64 on the device of x, or None when every row has T steps.
        reset: (T, B) bool on the device of x, or None; true at t is a boundary between t−1 and t.
        directions: ``forward``, ``reverse`` or ``bidirectional``.
        record: the observer, or None.
        checkpoint_every: save the states of every k-th step for backward (`AUTO`: 4 √T) and recompute the rest; None
            saves everything.
        fixed_shapes: whether the shapes of saved tensors must not depend on values.
        packed: where a backend may cache packed weights, which do not change; None if it may not.
        layers: number of layers; more than one is a stack, run without gradients; initial states are then (L·D, B, H),
            and parameters those of all layers.
        finals: tensors to write the final states to, or None to allocate them; never those of ``initial``.
        output_steps: (D, T, B) int64, for observers: of each step of the output that the caller gets, the step of this
            call whose state it is, or at least T if it is none's; None if they are the same.
        masks: of a cell with masks; None keeps everything.
        sequences: whether the states after every step are results too: those but the first, whose sequence is the
            output, follow the final states, in the layout of the output.
        products: ``bf16`` for products of numbers rounded to bfloat16 in a call of float32; None for those of its
            tensors.
    """

    cell: Cell
    x: Tensor
    initial: tuple[Tensor, ...]
    parameters: tuple[Tensor, ...]
    lengths: Tensor | None
    reset: Tensor | None
    directions: Directions
    record: Observer | None = None
    checkpoint_every: int | None = None
    fixed_shapes: bool = False
    packed: Any = None
    layers: int = 1
    finals: tuple[Tensor, ...] | None = None
    output_steps: Tensor | None = None
    masks: Masks | None = None
    sequences: bool = False
    products: Literal["bf16"] | None = None

    @property
    def all_masks(self) -> Masks:
        """The masks, those that keep everything for None."""
        return identity(len(self.cell.masks)) if self.masks is None else self.masks

    @property
    def precision(self) -> str | None:
        """The precision of products: that which frozen weights declare, or `products`; None for that of the tensors."""
        return self.products if self.packed is None or self.packed.precision is None else self.packed.precision

    @property
    def direction_count(self) -> int:
        """D: 1 or 2."""
        return 2 if self.directions == "bidirectional" else 1

    @property
    def hidden_size(self) -> int:
        """H."""
        if self.initial and not self.cell.projected:
            return self.initial[0].shape[-1]
        group = self.cell.hidden_group
        return self.parameters[group].shape[0] // len(self.cell.gates_of(self.cell.groups[group]))

    @property
    def projection_size(self) -> int:
        """P; 0 for a cell without a state of that width."""
        if not self.cell.projected:
            return 0
        group, axis = self.cell.projection_axis
        size = self.parameters[group].shape[axis]
        return size if axis else size // len(self.cell.gates_of(self.cell.groups[group]))

    @property
    def heads(self) -> int:
        """Into how many heads matrices are divided; 1 for a cell without such matrices."""
        if not self.cell.heads:
            return 1
        columns = self.parameters[self.cell.groups.index(self.cell.heads[0])].shape[1]
        return self.hidden_size // max(columns, 1)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The width of each state; that of the first is the output's."""
        hidden = self.hidden_size
        if not self.cell.projected:
            return (hidden,) * len(self.cell.states)
        return tuple(self.projection_size if width == "P" else hidden for width in self.cell.widths)

    @property
    def mask_sizes(self) -> tuple[int, ...]:
        """The width of each mask of the cell."""
        widths, hidden, projection = self.cell.sizes.masks, self.hidden_size, self.projection_size
        return tuple(projection if widths[mask] == "P" else hidden for mask in self.cell.masks)

    @property
    def segment_steps(self) -> int:
        """Number of steps between two checkpointed states, or T."""
        steps, every = self.x.shape[0], self.checkpoint_every
        if every == AUTO:
            every = _ROOTS * (math.isqrt(steps - 1) + 1)
        return steps if every is None else min(every, steps)

    def with_states(self) -> "Call":
        """The call with zero initial states where it has none."""
        if self.initial:
            return self
        shape = (self.direction_count, self.x.shape[1])
        return replace(self, initial=tuple(self.x.new_zeros((*shape, size)) for size in self.state_sizes))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The differentiable tensors: x, initial states, parameters."""
        return (self.x, *self.initial, *self.parameters)

    def with_tensors(self, tensors: tuple[Tensor, ...]) -> "Call":
        """The call with other values of `tensors`."""
        states = len(tensors) - 1 - self.layers * self.direction_count * len(self.cell.groups)
        return self._copy(tensors[0], tensors[1 : 1 + states], tensors[1 + states :])

    def without_tensors(self) -> "Call":
        """The call without `tensors`, to be saved for backward."""
        return self._copy(None, (), ())  # pyright: ignore[reportArgumentType]

    def _copy(self, x: Tensor, initial: tuple[Tensor, ...], parameters: tuple[Tensor, ...]) -> "Call":
        return Call(  # three times as fast as `replace`
            self.cell,
            x,
            initial,
            parameters,
            self.lengths,
            self.reset,
            self.directions,
            self.record,
            self.checkpoint_every,
            self.fixed_shapes,
            self.packed,
            self.layers,
            masks=self.masks,
            sequences=self.sequences,
            products=self.products,
        )

    def single_directions(self) -> list["Call"]:
        """The call as one call per direction, forward first."""
        if self.directions != "bidirectional":
            return [self]
        groups = len(self.cell.groups)
        names: tuple[Directions, Directions] = ("forward", "reverse")
        return [
            replace(
                self,
                initial=tuple(state[index : index + 1] for state in self.initial),
                parameters=self.parameters[index * groups : (index + 1) * groups],
                directions=name,
                record=None if self.record is None else self.record.of_direction(index),
                masks=None if self.masks is None else self.masks.of_direction(index),
            )
            for index, name in enumerate(names)
        ]

    def window(self, start: int, stop: int, initial: tuple[Tensor, ...]) -> "Call":
        """The call on the steps from start to stop, with the states before them."""
        return replace(
            self,
            x=self.x[start:stop],
            initial=initial,
            lengths=None if self.lengths is None else (self.lengths - start).clamp(0, stop - start),
            reset=None if self.reset is None else self.reset[start:stop],
            record=None if self.record is None else self.record.of_rows(start * self.x.shape[1]),
            masks=None if self.masks is None else self.masks.later(start),
        )

    def check_values(self) -> None:
        """Check the values of the arguments.

        Raises:
            ValueError: for lengths out of range.
        """
        if self.lengths is not None:
            check_lengths(self.lengths, self.x.shape[0])
