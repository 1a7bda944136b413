"""Saturation of gates: values at which the activation is flat and passes no gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.equations.operations import OPERATIONS

# Saturated: the slope is below this fraction of the largest slope.
FLAT = 0.05
# A unit is stuck if its slope is below this fraction at every step of every row.
STUCK = 0.01


@dataclass(frozen=True)
class Saturation:
    """The saturation of one gate, over all valid steps.

    Attributes:
        activation: the name of the activation.
        low, high: the fraction of values at the lower and upper end, where the slope is under 5 % of its largest
            (sigmoid below 0.013 or above 0.987, tanh beyond ±0.975); for relu ``low`` are the zeros. 0 for activations
            that do not saturate.
        stuck_low, stuck_high: the fraction of units that stay at an end at every step of every row (slope under 1 %;
            for relu the dead units).
        by_unit: (H,) the fraction of each unit's values at either end.
    """

    activation: str
    low: float
    high: float
    stuck_low: float
    stuck_high: float
    by_unit: Tensor

    @property
    def total(self) -> float:
        """The fraction of values at either end."""
        return self.low + self.high


def saturation_of(values: Tensor, activation: str) -> Saturation:
    """The saturation of a gate.

    Args:
        values: (T, B, H), NaN in padding.
        activation: the name of its operation; ``identity`` where there is none.
    """
    rows = values.flatten(0, 1)
    rows = rows[~rows.isnan().any(dim=1)]
    low, high = _ends(rows, activation, FLAT)
    stuck_low, stuck_high = _ends(rows, activation, STUCK)
    if not len(rows):
        nothing = values.new_zeros(values.shape[-1])
        return Saturation(activation, 0.0, 0.0, 0.0, 0.0, nothing)
    return Saturation(
        activation,
        float(low.float().mean()),
        float(high.float().mean()),
        float(stuck_low.all(dim=0).float().mean()),
        float(stuck_high.all(dim=0).float().mean()),
        (low | high).float().mean(dim=0),
    )


def _ends(values: Tensor, activation: str, part: float) -> tuple[Tensor, Tensor]:
    """Masks of the values at the lower and upper end: where the slope is below ``part`` of its largest."""
    operation = OPERATIONS.get(activation)
    if operation is None or operation.unsaturated is None:
        nowhere = torch.zeros_like(values, dtype=torch.bool)
        return nowhere, nowhere
    unsaturated = operation.unsaturated(part)
    return values <= unsaturated.low, values >= unsaturated.high
