"""Masks: the valid steps of each row moved to its front, where lengths and resets say the same.

A masked step copies the state, so a layer need only run through the others. Of a row with n valid steps those come
first, in order, and the masked ones after them: a permutation, whose inverse restores the output and carries gradients
back. A reset at a masked step acts at the next valid one, and after the last at the end of the row.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise.layers.fast_path import nothing_recorded


class Compaction:
    """The valid steps of the rows of a batch, moved to the front.

    Attributes:
        lengths: (B,) int64, the number of valid steps of each row.
        reset: (T, B) bool of the moved steps, or None.
        step: (T, B) int64, the caller's step of each moved one.
        valid: (T, B) bool, true at the steps that are run, in the caller's order.
        within: (T, B) bool, false past the end of each row, or None.
    """

    def __init__(self, mask: Tensor, lengths: Tensor | None, reset: Tensor | None) -> None:
        """Derive the permutation.

        Args:
            mask: (T, B) bool, false at masked steps.
            lengths: (B,) int64, the ends of the rows, or None.
            reset: (T, B) bool, or None.
        """
        steps = torch.arange(mask.shape[0], device=mask.device)[:, None]
        self.within = None if lengths is None else steps < lengths
        self.valid = mask if self.within is None else mask & self.within
        self._count = self.valid.cumsum(0)  # of valid steps up to and including each
        self.lengths = self._count[-1]
        # Of each step of the caller its position among the moved ones, and the reverse.
        self._position = torch.where(self.valid, self._count - 1, self.lengths + steps - self._count)
        self.step = torch.zeros_like(self._position).scatter(0, self._position, steps.expand_as(self._position))
        # Leaves x and the output where they are; the test would be a branch in graphs, and wait for other devices.
        self._in_order = (
            type(mask) is Tensor
            and mask.device.type == "cpu"
            and nothing_recorded()
            and torch.equal(self._position, steps.expand_as(mask))
        )
        self.reset = self._boundaries = self._at_end = None
        if reset is not None:
            flags = reset if self.within is None else reset & self.within
            self._boundaries = flags.cumsum(0)  # up to and including each step
            of_valid = self._boundaries.gather(0, self.step)
            before = torch.cat([torch.zeros_like(of_valid[:1]), of_valid])
            self.reset = of_valid > before[:-1]
            self._at_end = self._boundaries[-1] > before.gather(0, self.lengths[None])[0]

    def moved(self, x: Tensor) -> Tensor:
        """The steps (T, B, …) of the caller with the valid ones in front."""
        return x if self._in_order else _permuted(x, self.step, self._position)

    def reset_at_end(self, states: tuple[Tensor, ...], concerned: Sequence[bool]) -> tuple[Tensor, ...]:
        """States (D·L, B, H) of the ends of rows, zero where a reset follows the last valid step.

        Args:
            states: of every direction.
            concerned: for each of D·L, whether its state is that of the end.
        """
        if self._at_end is None:
            return states
        cut = torch.tensor(concerned, device=self._at_end.device)[:, None] & self._at_end
        return tuple([torch.where(cut[..., None], state.new_zeros(()), state) for state in states])

    def zeros_at_masked(self, output: Tensor) -> Tensor:
        """The output (T, B, …) of the moved steps in the caller's order, zero at masked steps."""
        return output if self._in_order else _permuted(output, self._position, self.step)

    def repeated_at_masked(self, output: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        """The output (T, B, H) of one direction in the caller's order, at masked steps the state as it is there.

        Args:
            output: of the moved steps.
            initial: (B, H), the state before the first step in the direction.
            reverse: whether the direction reads from the end.
        """
        states = torch.cat([output, initial[None], torch.zeros_like(initial)[None]])
        sources = self.sources(reverse)
        return states.gather(0, sources[..., None].expand(*sources.shape, output.shape[-1]))

    def sources(self, reverse: bool) -> Tensor:
        """(T, B) int64, of each of the caller's steps the moved step whose state is that after it in one direction.

        T stands for the initial state, T + 1 for zero: after a reset, and past the end.
        """
        steps = self.valid.shape[0]
        # The valid step that the direction has read last.
        last = self._count - self.valid.long() if reverse else self._count - 1
        last = torch.where((last == self.lengths) if reverse else (last < 0), steps, last)
        if self._boundaries is not None:
            start = self._boundaries[-1:] if reverse else torch.zeros_like(self._boundaries[-1:])
            since = torch.cat([self._boundaries.gather(0, self.step), start]).gather(0, last)
            last = torch.where(since != self._boundaries, steps + 1, last)
        return last if self.within is None else torch.where(self.within, last, steps + 1)

    def valid_sources(self) -> Tensor:
        """As `sources` of both directions, where masked steps are zero."""
        return torch.where(self.valid, self._position, self.valid.shape[0] + 1)


def _permuted(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Returns x (T, B, …) with the steps of each row in another order (T, B), given with its inverse."""
    columns = torch.arange(x.shape[1], device=x.device)
    rows, back = (each * x.shape[1] + columns for each in (order, inverse))
    flat = x.flatten(0, 1)
    rows, back = rows.flatten(), back.flatten()
    moved = _Permuted.apply(flat, rows, back) if nothing_recorded() else flat.index_select(0, rows)
    return moved.unflatten(0, x.shape[:2])


class _Permuted(torch.autograd.Function):
    """Rows in another order; the gradient is read in the inverse order rather than added row by row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return upstream[0].index_select(0, inverse), None, None
