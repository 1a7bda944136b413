"""The input steps that learn from a module's losses, by where losses enter and how far their gradient reaches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallRecord
from gatewise.diagnostics.horizon import VANISHED
from gatewise.diagnostics.time_series import joined

# Gradients below the largest of the pass times this are rounding errors, not losses.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Reach:
    """How far the gradients of losses reach.

    Attributes:
        unreached: fraction of the steps with a later loss (in the direction of reading) whose gradient is at most 1 %
            of the largest between the step and that loss.
        at_ends: whether losses enter only at the last step that a direction reads of each row.
        entries: mean number of steps of a row at which a loss enters.
        steps: mean number of steps of a row.
        within: number of steps after which the gradient of a loss has fallen to 1 %, the median over rows; None if all
            steps are reached.
        farthest: the largest distance of a step from its loss.
    """

    unreached: float
    at_ends: bool
    entries: float
    steps: float
    within: int | None
    farthest: int


def reach_of(lowest: Sequence[CallRecord], highest: Sequence[CallRecord]) -> Reach | None:
    """How far the losses of a pass reach in a module; None if the steps at which they enter were not observed.

    Args:
        lowest, highest: the calls of the module's lowest and highest layer, consecutive in time.
    """
    if len(lowest) != len(highest) or any(call.loss_steps is None for call in highest):
        return None
    valid = joined([call.valid for call in lowest], False)
    cut = joined([_boundaries(call, number) for number, call in enumerate(lowest)], True)
    directions = [
        _DirectionReach(valid, *_of_direction(lowest, highest, direction), cut, reverse=location.direction == "reverse")
        for direction, location in enumerate(lowest[0].locations)
    ]
    concerned = torch.stack([one.concerned for one in directions]).any(dim=0)
    reached = torch.stack([one.reached for one in directions]).any(dim=0)
    if not concerned.any():
        return None
    distance = torch.stack([one.distance for one in directions]).amin(dim=0)
    lost = concerned & ~reached
    rows = lost.any(dim=0)
    first = torch.where(lost, distance, len(valid)).amin(dim=0)[rows]
    entries = torch.stack([one.entries for one in directions]).any(dim=0)
    return Reach(
        int(lost.sum()) / int(concerned.sum()),
        all(one.at_ends for one in directions),
        int(entries.sum()) / int(valid.any(dim=0).sum()),
        int(valid.sum()) / int(valid.any(dim=0).sum()),
        int(first.median()) if len(first) else None,
        int(distance[concerned].max()),
    )


class _DirectionReach:
    """The reach in one direction; (T, B) each, in the order of the input.

    Attributes:
        entries: steps at which losses enter.
        concerned: steps with a later loss and no boundary in between.
        reached: those that receive more than 1 % of the gradient.
        distance: number of steps to the loss; T where there is none.
        at_ends: whether losses enter only at the last step read.
    """

    def __init__(self, valid: Tensor, norms: Tensor, losses: Tensor, cut: Tensor, *, reverse: bool) -> None:
        if reverse:  # as if it were read forward; a boundary at t is between t and t − 1
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
    """For each step, the index of the first step from there on where the condition holds."""
    return torch.where(where, time, nowhere).flip(0).cummin(dim=0).values.flip(0)


def _largest_since(norms: Tensor, entries: Tensor) -> Tensor:
    """The largest norm between each step and the next one at which a loss enters.

    The norm at the loss itself would be a poor reference: below other layers a gradient enters gradually and grows at
    first.
    """
    largest = norms.clone()
    for step in range(len(norms) - 2, -1, -1):
        largest[step] = torch.where(entries[step], norms[step], torch.maximum(norms[step], largest[step + 1]))
    return largest


def _of_direction(lowest: Sequence[CallRecord], highest: Sequence[CallRecord], direction: int) -> tuple[Tensor, Tensor]:
    """The norms of the gradient of the states of the lowest layer, and the losses that enter, (T, B) each."""
    norms = joined([call.gradient_norms[direction].square().sum(dim=0).sqrt() for call in lowest], 0.0)
    parts: list[Tensor] = []
    for number, call in enumerate(highest):
        assert call.loss_steps is not None
        losses = norms.new_zeros(call.steps, call.rows)
        if direction in call.loss_steps.outputs:
            losses += call.loss_steps.outputs[direction]
        # The gradient of a final state that another call continues from is not a loss.
        continued = number + 1 < len(highest) and highest[number + 1].has_history
        if direction in call.loss_steps.finals and not continued:
            final = call.loss_steps.finals[direction].to(losses)
            lengths = call.valid.sum(dim=0)
            last = torch.zeros_like(lengths) if call.locations[direction].direction == "reverse" else lengths - 1
            losses.scatter_add_(0, last.clamp(min=0)[None], torch.where(lengths > 0, final, 0.0)[None])
        parts.append(losses)
    return norms, joined(parts, 0.0)


def _boundaries(call: CallRecord, number: int) -> Tensor:
    """(T, B), where no gradient propagates from a step to the previous one."""
    flags = torch.zeros((call.steps, call.rows), dtype=torch.bool, device=call.x.device)
    if call.reset is not None:
        flags |= call.reset
    flags[0] |= number == 0 or not call.has_history
    return flags
