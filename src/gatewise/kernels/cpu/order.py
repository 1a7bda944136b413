"""In which order rows and steps are processed: longest row first, no step of padding, either way through time."""

from array import array
from dataclasses import dataclass

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
    row = length = at = active = index = cut = None
    # Held until they have been read.
    lengths, reset = (None if one is None else one.contiguous() for one in (lengths, reset))
    sorted_by = None if call.whole.lengths is None else call.whole.lengths.contiguous()
    if lengths is not None:
        numbers = torch.empty(2 * rows + 2 * steps + steps * rows, dtype=torch.int64)
        row, length, at, active, index = numbers.split([rows, rows, steps, steps, steps * rows])
    if reset is not None:
        cut = torch.empty((steps + 1, rows), dtype=torch.uint8)
    given = (lengths, sorted_by, reset, row, length, at, active, index, cut)
    words = array("q", (steps, rows, reverse, *[0 if one is None else one.data_ptr() for one in given]))
    places = engine(torch.float32).order(words)
    padding = None
    if index is not None:
        index, padding = index[:places], index[places:]
    return Order(steps, rows, call.x.dtype, reverse, places, index, padding, row, at, active, length, cut)
