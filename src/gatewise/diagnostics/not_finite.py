"""The first occurrence of NaN or infinity."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gatewise.diagnostics.call_record import CallRecord, Location


@dataclass(frozen=True)
class NotFinite:
    """The first occurrence of NaN or infinity.

    Attributes:
        location, step: the layer, the direction and the time step.
        what: ``output`` or ``gradient``.
        number: number of the pass, counted from 0 over all recorded passes.
    """

    location: Location
    step: int
    what: str
    number: int


def first_not_finite(calls: Sequence[CallRecord]) -> tuple[Location, int, str] | None:
    """The first NaN or infinity in calls: forward in order, then backward in reverse order.

    Steps are counted over all calls of a layer.
    """
    if all(call.all_finite for call in calls):  # almost always; checked for every pass
        return None
    done: dict[tuple[str, int], int] = {}
    begins: list[int] = []
    for call in calls:
        layer = call.module, call.layer
        begins.append(done.get(layer, 0))
        done[layer] = begins[-1] + call.steps
    for call, begin in zip(calls, begins, strict=True):
        for location, finite in zip(
            call.locations, () if call.finite_output is None else call.finite_output, strict=False
        ):
            bad = (~finite & call.valid).any(dim=1).nonzero()[:, 0]
            if len(bad):
                return location, begin + int(bad.min() if location.direction == "forward" else bad.max()), "output"
    for call, begin in reversed(list(zip(calls, begins, strict=True))):
        for location, norms in zip(call.locations, call.gradient_norms, strict=True):
            bad = (~torch.isfinite(norms)).any(dim=2).any(dim=0).nonzero()[:, 0]
            if len(bad):
                return location, begin + int(bad.max() if location.direction == "forward" else bad.min()), "gradient"
    return None
