"""In which order rows and steps are processed: longest row first, no step of padding, either way through time."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu.library import engine


@dataclass(frozen=True)
class Order:
    """The order of one direction.

    Attributes:
        steps, rows: T and B.
        dtype: of the values.
        reverse: whether a row is processed from its end.
        places: N, rows of the sequence arrays: T·B, or with lengths the valid steps alone.
        index: (N,) int64, by place the row t·B + b of the caller's (T·B, …) tensors; None when they are the same.
        padding: (T·B − N,) int64, the other rows of the caller's.
        row: (B,) int64, the caller's rows, longest first; None when all have T steps.
        at, active: (T,) int64 by step, the first place and the number of rows; None: t·B and B.
        length: (B,) int64, sorted; None: T.
        cut: (T + 1, B) uint8, true at s when nothing flows between steps s − 1 and s; None: never.
    """

    steps: int
    rows: int
    dtype: torch.dtype
    reverse: bool
    places: int
    index: Tensor | None = None
    padding: Tensor | None = None
    row: Tensor | None = None
    at: Tensor | None = None
    active: Tensor | None = None
    length: Tensor | None = None
    cut: Tensor | None = None


def order(call: Call) -> Order:
    """The order of a call in one direction."""
    steps, rows = call.x.shape[:2]
    reverse = call.directions == "reverse"
    lengths, reset = call.lengths, call.reset
    if lengths is None and reset is None:
        return Order(steps, rows, call.x.dtype, reverse, steps * rows)
    cut: Tensor | None = None
    room: tuple[Tensor | None, ...] = (None,) * 5
    # Held until they have been read.
    lengths, reset = (None if one is None else one.contiguous() for one in (lengths, reset))
    sorted_by = None if call.whole.lengths is None else call.whole.lengths.contiguous()
    if lengths is not None:
        room = _room(steps, rows)
    if reset is not None:
        cut = torch.empty((steps + 1, rows), dtype=torch.uint8, device="cpu")
    places = engine(torch.float32).order(_words(steps, rows, reverse, (lengths, sorted_by, reset, *room, cut)))
    row, length, at, active, index = room
    padding = None
    if index is not None:
        index, padding = index[:places], index[places:]
    return Order(steps, rows, call.x.dtype, reverse, places, index, padding, row, at, active, length, cut)


class Sorting(NamedTuple):
    """What tells the engine to put rows in order, time and again.

    Attributes:
        words: of the engine's `Sorting`.
        steps, lengths, output: where in them T, and the addresses of the lengths and of the output are told.
    """

    words: array
    steps: tuple[int, ...]
    lengths: tuple[int, ...]
    output: tuple[int, ...]


def sorted_anew(order: Order, capacity: int, cleared: int) -> tuple[Order, Sorting]:
    """An order whose rows have lengths, others each time.

    Arguments:
        order: without any.
        capacity: the most steps.
        cleared: how wide the rows of the output are, in bytes, that become zero where there is padding; or 0.
    """
    row, length, at, active, index = room = _room(capacity, order.rows)
    words = _words(0, order.rows, order.reverse, (None, None, None, *room, None))
    output = len(words) + 1
    words.extend((0, 0, 0, cleared, cleared, 0, 0, 0))
    sorting = Sorting(words, (0,), (3, 4), (output,) if cleared else ())
    return replace(order, index=index, row=row, at=at, active=active, length=length), sorting


def _room(steps: int, rows: int) -> tuple[Tensor, ...]:
    """For `row`, `length`, `at`, `active` and `index` with `padding` behind it."""
    sizes = [rows, rows, steps, steps, steps * rows]
    return torch.empty(sum(sizes), dtype=torch.int64, device="cpu").split(sizes)


def _words(steps: int, rows: int, reverse: bool, tensors: Iterable[Tensor | None]) -> array:
    """Of the engine's `Ordering`."""
    return array("q", (steps, rows, reverse, *[0 if one is None else one.data_ptr() for one in tensors]))
