"""Whether a side computes what it says: no time is told for a wrong answer."""

import math
from typing import NamedTuple

import torch

from gatewise.benchmarks.points import Point
from gatewise.benchmarks.sides import Results, Side, ours

# Units in the last place, of the largest value, on top of twice the error of plain float32 operations.
SLACK = 4
# By how much a side may exceed the rule of the tests before its answer is called wrong. Sums over thousands of steps
# and rows differ by their order: nn.LSTM's bias gradients come to twice the rule.
WRONG = 4


class Agreement(NamedTuple):
    """How a side's numbers compare.

    Attributes:
        excess: the largest error, over what the rule allows; 1 or less keeps the rule.
        wrong: what is wrong, or None.
    """

    excess: float
    wrong: str | None


class Reference:
    """What is right at a point, and how far float32 may be from it.

    The rule is max |Δ| ≤ 2 · max |plain − reference| + 4 ε · max |reference| for the output and every gradient:
    the reference in float64, plain the same loop over time in float32.
    """

    def __init__(self, point: Point) -> None:
        self._exact = _doubles(ours(point, "reference", dtype=torch.float64).results())
        self._plain = _doubles(ours(point, "reference").results())

    def agreement(self, side: Side) -> Agreement:
        """Compare a side's results."""
        found = side.results()
        if found.keys() != self._exact.keys():
            return Agreement(math.inf, f"it computes {', '.join(found)} instead of {', '.join(self._exact)}")
        worst = Agreement(0.0, None)
        for name, exact in self._exact.items():
            if found[name].shape != exact.shape:
                came, wanted = tuple(found[name].shape), tuple(exact.shape)
                return Agreement(math.inf, f"{name} has shape {came} instead of {wanted}")
            slack = SLACK * torch.finfo(torch.float32).eps * float(exact.abs().max())
            allowed = 2 * _distance(self._plain[name], exact) + slack
            error = _distance(found[name].double(), exact)
            excess = error / allowed if allowed > 0 else math.inf if error != 0 else 0.0
            # Not `>`: NaN must not pass.
            if not excess <= WRONG:
                return Agreement(excess, f"{name} is {error:.2g} off, where {allowed:.2g} is rounding")
            worst = max(worst, Agreement(excess, None), key=lambda one: one.excess)
        return worst


def _doubles(results: Results) -> Results:
    return {name: tensor.detach().double() for name, tensor in results.items()}


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.detach() - b).abs().max())
