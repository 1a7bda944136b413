"""Whether a contender computes the right result: a wrong one is not timed."""

import math
from typing import NamedTuple

import torch

from benchmarks.cases import Case
from benchmarks.contenders import Contender, NamedTensors, ours

# Units in the last place, of the largest value, on top of twice the error of plain float32 operations.
SLACK = 4
# By how much a contender may exceed the tolerance of the tests before it counts as wrong. Sums over thousands of steps
# and rows differ by their order: nn.LSTM's bias gradients come to twice the rule.
WRONG = 4


class Agreement(NamedTuple):
    """How a contender's numbers compare.

    Attributes:
        error_ratio: the largest error, over what the rule allows; 1 or less keeps the rule.
        wrong: what is wrong, or None.
    """

    error_ratio: float
    wrong: str | None


class Reference:
    """What is right at a case, and how far float32 may be from it.

    The rule is max |Δ| ≤ 2 · max |plain − reference| + 4 ε · max |reference| for the output and every gradient:
    the reference in float64, plain the same loop over time in float32.
    """

    def __init__(self, case: Case) -> None:
        self._exact = _doubles(ours(case, "reference", dtype=torch.float64).compute())
        self._plain = _doubles(ours(case, "reference").compute())

    def agreement(self, contender: Contender) -> Agreement:
        """Compare a contender's results."""
        found = contender.compute()
        if found.keys() != self._exact.keys():
            return Agreement(math.inf, f"it computes {', '.join(found)} instead of {', '.join(self._exact)}")
        worst = Agreement(0.0, None)
        for name, exact in self._exact.items():
            if found[name].shape != exact.shape:
                actual, wanted = tuple(found[name].shape), tuple(exact.shape)
                return Agreement(math.inf, f"{name} has shape {actual} instead of {wanted}")
            slack = SLACK * torch.finfo(torch.float32).eps * float(exact.abs().max())
            allowed = 2 * _distance(self._plain[name], exact) + slack
            error = _distance(found[name].double(), exact)
            error_ratio = error / allowed if allowed > 0 else math.inf if error != 0 else 0.0
            # Not `>`: NaN must not pass.
            if not error_ratio <= WRONG:
                return Agreement(error_ratio, f"{name} is {error:.2g} off, where {allowed:.2g} is rounding")
            worst = max(worst, Agreement(error_ratio, None), key=lambda one: one.error_ratio)
        return worst


def _doubles(results: NamedTensors) -> NamedTensors:
    return {name: tensor.detach().double() for name, tensor in results.items()}


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.detach() - b).abs().max())
