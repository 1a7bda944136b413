"""Where NaN or infinity was first met."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gatewise.diagnostics.recorded import Place, RecordedCall


@dataclass(frozen=True)
class NotFinite:
    """Where NaN or infinity was first met.

    Attributes:
        place, step: the layer, the direction and the time step.
        what: ``output`` or ``gradient``.
        number: of the pass, counted from 0 over all that were recorded.
    """

    place: Place
    step: int
    what: str
    number: int


def first_not_finite(calls: Sequence[RecordedCall]) -> tuple[Place, int, str] | None:
    """The first place at which calls met NaN or infinity: forward in their order, then backward against it.

    Steps are counted over all calls of a layer.
    """
    if all(call.all_finite for call in calls):  # almost always, and asked of every pass
        return None
    done: dict[tuple[str, int], int] = {}
    begins: list[int] = []
    for call in calls:
        layer = call.module, call.layer
        begins.append(done.get(layer, 0))
        done[layer] = begins[-1] + call.steps
    for call, begin in zip(calls, begins, strict=True):
        for place, finite in zip(call.places, () if call.finite_output is None else call.finite_output, strict=False):
            bad = (~finite & call.valid).any(dim=1).nonzero()[:, 0]
            if len(bad):
                return place, begin + int(bad.min() if place.direction == "forward" else bad.max()), "output"
    for call, begin in reversed(list(zip(calls, begins, strict=True))):
        for place, norms in zip(call.places, call.gradient_norms, strict=True):
            bad = (~torch.isfinite(norms)).any(dim=2).any(dim=0).nonzero()[:, 0]
            if len(bad):
                return place, begin + int(bad.max() if place.direction == "forward" else bad.min()), "gradient"
    return None
