"""In which order rows and steps are processed: longest row first, no step of padding, either way through time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.kernels.call import Call


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
    if call.lengths is None and call.reset is None:
        return Order(steps, rows, call.x.dtype, reverse, steps * rows)
    row = at = active = index = padding = None
    length = torch.full((rows,), steps)
    step = torch.arange(steps + 1)[:, None]
    places = steps * rows
    if call.lengths is not None:
        assert call.whole.lengths is not None
        row = torch.sort(call.whole.lengths, descending=True, stable=True).indices
        length = call.lengths[row]
        valid = step[:-1] < length
        active = valid.sum(dim=1)
        at = active.cumsum(0) - active
        places = int(active.sum())
        place = step[:-1] * rows + row
        padding = place[~valid]
        index = ((length - 1 - step[:-1]) * rows + row)[valid] if reverse else place[valid]
    cut = None
    if call.reset is not None:
        reset = call.reset if row is None else call.reset[:, row]
        # Reversed, a boundary between t − 1 and t is crossed after step t, and the last one after the row's end.
        time = length - step if reverse else step.expand(steps + 1, rows)
        inside = (time >= 0) & (time < length)
        cut = (reset.gather(0, time.clamp(0, steps - 1)) & inside).to(torch.uint8)
    return Order(
        steps,
        rows,
        call.x.dtype,
        reverse,
        places,
        index,
        padding,
        row,
        at,
        active,
        None if row is None else length,
        cut,
    )
