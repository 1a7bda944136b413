"""Which steps of a module's input learn from its losses, by where they enter and how far their gradient reaches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.diagnostics.answers import joined
from gatewise.diagnostics.horizon import VANISHED
from gatewise.diagnostics.recorded import RecordedCall

# The largest gradient of a pass times this is rounding, not a loss.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Reach:
    """How many steps losses reach.

    Attributes:
        unreached: of all steps with a loss after them (in the direction of reading) the share whose gradient is at
            most 1 % of the largest on its way from that loss.
        at_ends: whether losses enter only where a direction has read the whole of a row.
        entries: at how many steps of a row a loss enters, on average.
        steps: of a row, on average.
        within: after how many steps the gradient of a loss has fallen to 1 %, the median over rows; None where all are
            reached.
        farthest: how far the farthest step is from its loss.
    """

    unreached: float
    at_ends: bool
    entries: float
    steps: float
    within: int | None
    farthest: int


def reach_of(lowest: Sequence[RecordedCall], highest: Sequence[RecordedCall]) -> Reach | None:
    """How far the losses of a pass reach in a module; None where it was not seen at which steps they enter.

    Arguments:
        lowest, highest: the calls of the module's lowest and highest layer, which follow each other in time.
    """
    if len(lowest) != len(highest) or any(call.loss_steps is None for call in highest):
        return None
    valid = joined([call.valid for call in lowest], False)
    cut = joined([_boundaries(call, number) for number, call in enumerate(lowest)], True)
    sides = [
        _Side(valid, *_of_direction(lowest, highest, direction), cut, reverse=place.direction == "reverse")
        for direction, place in enumerate(lowest[0].places)
    ]
    concerned = torch.stack([side.concerned for side in sides]).any(dim=0)
    reached = torch.stack([side.reached for side in sides]).any(dim=0)
    if not concerned.any():
        return None
    distance = torch.stack([side.distance for side in sides]).amin(dim=0)
    lost = concerned & ~reached
    rows = lost.any(dim=0)
    first = torch.where(lost, distance, len(valid)).amin(dim=0)[rows]
    entries = torch.stack([side.entries for side in sides]).any(dim=0)
    return Reach(
        int(lost.sum()) / int(concerned.sum()),
        all(side.at_ends for side in sides),
        int(entries.sum()) / int(valid.any(dim=0).sum()),
        int(valid.sum()) / int(valid.any(dim=0).sum()),
        int(first.median()) if len(first) else None,
        int(distance[concerned].max()),
    )


class _Side:
    """One direction; (T, B) each, in the order of the input.

    Attributes:
        entries: where losses enter.
        concerned: steps behind which a loss enters that no boundary cuts off.
        reached: those to which more than 1 % of the gradient comes.
        distance: from the loss; T where there is none.
        at_ends: whether losses enter only at the last step that is read.
    """

    def __init__(self, valid: Tensor, norms: Tensor, losses: Tensor, cut: Tensor, *, reverse: bool) -> None:
        if reverse:  # as if it were read forward; a boundary at t stands between t and t − 1
            valid, norms, losses = (one.flip(0) for one in (valid, norms, losses))
            cut = torch.cat([torch.ones_like(cut[:1]), cut.flip(0)[:-1]])
        steps = len(valid)
        time = torch.arange(steps, device=valid.device)[:, None].expand(valid.shape)
        entries = valid & (losses > _ROUNDING * losses.amax())
        source = _next(time, entries, steps)
        later_cut = torch.cat([cut[1:], torch.ones_like(cut[:1])])
        whole = valid & (source <= _next(time, later_cut, steps - 1))
        reached = whole & (norms > VANISHED * _largest_since(norms, entries))
        distance = torch.where(whole, source - time, steps)
        follows = torch.cat([valid[1:], torch.zeros_like(valid[:1])])
        self.at_ends = not bool((entries & follows).any())
        parts = (entries, whole, reached, distance)
        self.entries, self.concerned, self.reached, self.distance = (one.flip(0) for one in parts) if reverse else parts


def _next(time: Tensor, where: Tensor, nowhere: int) -> Tensor:
    """At each step the first one from there on where something is true, by its number."""
    return torch.where(where, time, nowhere).flip(0).cummin(dim=0).values.flip(0)


def _largest_since(norms: Tensor, entries: Tensor) -> Tensor:
    """The largest norm from each step to the next one at which a loss enters.

    That of the step itself is no measure: under other layers a gradient comes in bit by bit, and grows at first.
    """
    largest = norms.clone()
    for step in range(len(norms) - 2, -1, -1):
        largest[step] = torch.where(entries[step], norms[step], torch.maximum(norms[step], largest[step + 1]))
    return largest


def _of_direction(
    lowest: Sequence[RecordedCall], highest: Sequence[RecordedCall], direction: int
) -> tuple[Tensor, Tensor]:
    """The norms of the gradient of the states of the lowest layer, and the losses that enter, (T, B) each."""
    norms = joined([call.gradient_norms[direction].square().sum(dim=0).sqrt() for call in lowest], 0.0)
    parts: list[Tensor] = []
    for number, call in enumerate(highest):
        assert call.loss_steps is not None
        losses = norms.new_zeros(call.steps, call.rows)
        if direction in call.loss_steps.outputs:
            losses += call.loss_steps.outputs[direction]
        # What comes into the final state of a call that another goes on from is no loss of its own.
        goes_on = number + 1 < len(highest) and highest[number + 1].has_history
        if direction in call.loss_steps.finals and not goes_on:
            final = call.loss_steps.finals[direction].to(losses)
            lengths = call.valid.sum(dim=0)
            last = torch.zeros_like(lengths) if call.places[direction].direction == "reverse" else lengths - 1
            losses.scatter_add_(0, last.clamp(min=0)[None], torch.where(lengths > 0, final, 0.0)[None])
        parts.append(losses)
    return norms, joined(parts, 0.0)


def _boundaries(call: RecordedCall, number: int) -> Tensor:
    """(T, B), where no gradient passes from a step to the one before it."""
    flags = torch.zeros((call.steps, call.rows), dtype=torch.bool, device=call.x.device)
    if call.reset is not None:
        flags |= call.reset
    flags[0] |= number == 0 or not call.has_history
    return flags
