"""What theory says of the rate at which gradients shrink or grow over time, in nats for a step.

Three answers that share no code with back-propagation: the run's own Lyapunov exponent, mean field for random weights,
and the bound by the largest singular value (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Activation(NamedTuple):
    """An activation φ.

    Attributes:
        value: φ.
        slope: φ′ as a function of φ's value.
        largest_slope: its maximum.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    largest_slope: float


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda y: 1 - y.square(), 1.0),
    "sigmoid": Activation(torch.sigmoid, lambda y: y * (1 - y), 0.25),
    "relu": Activation(torch.relu, lambda y: (y > 0).to(y.dtype), 1.0),
}


def lyapunov_exponent(states: Tensor, recurrent: Tensor, activation: str, *, skip: int = 10) -> float:
    """The top Lyapunov exponent of a run: the mean growth of the longest direction of the product of its Jacobians.

    The Jacobians are ∂h_t/∂h_{t−1} = diag(φ′(a_t)) R, multiplied in double precision with a QR decomposition at each
    step (Benettin et al. 1980).

    Args:
        states: (T, H), the states h_1 … h_T.
        recurrent: R, (H, H).
        activation: a key of `ACTIVATIONS`.
        skip: the first steps, in which the direction is found; not counted.

    Returns:
        the exponent; −∞ if a Jacobian is zero.

    >>> states = torch.zeros(40, 2)  # tanh at 0 is linear
    >>> round(lyapunov_exponent(states, torch.diag(torch.tensor([0.5, 0.2])), "tanh"), 6) == round(math.log(0.5), 6)
    True
    """
    slope, weights = ACTIVATIONS[activation].slope, recurrent.double()
    directions = torch.linalg.qr(torch.ones_like(weights) + torch.eye(len(weights)))[0][:, : min(4, len(weights))]
    growths: list[float] = []
    for state in states.double():
        directions, lengths = torch.linalg.qr(slope(state)[:, None] * (weights @ directions))
        growth = float(lengths[0, 0].abs())
        growths.append(math.log(growth) if growth > 0 else -math.inf)
    counted = growths[skip:]
    return math.fsum(counted) / len(counted) if -math.inf not in counted else -math.inf


def mean_field_rate(activation: str, recurrent_variance: float, input_variance: float) -> float:
    """The rate ½·log(σ_w²·E[φ′(a)²]) of a wide network with independent Gaussian recurrent weights.

    a is normal with mean 0; its variance is the fixed point of q = σ_w²·E[φ(a)²] + σ_x².

    Args:
        activation: a key of `ACTIVATIONS`.
        recurrent_variance: σ_w², where the entries of R have the variance σ_w²/H.
        input_variance: σ_x², the variance of what the input adds to a.

    Raises:
        ValueError: when the variance has no fixed point.

    >>> round(mean_field_rate("relu", 1.0, 1.0), 3) == round(0.5 * math.log(0.5), 3)
    True
    """
    points = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = torch.exp(-points.square() / 2)
    density /= density.sum()
    found = ACTIVATIONS[activation]
    variance = input_variance
    for _ in range(10_000):
        values = found.value(points * math.sqrt(variance))
        after = recurrent_variance * float((density * values.square()).sum()) + input_variance
        if not math.isfinite(after):
            raise ValueError(f"{activation}: the variance has no fixed point at σ_w² = {recurrent_variance:g}")
        if abs(after - variance) <= 1e-12 * after:
            break
        variance = after
    slopes = found.slope(found.value(points * math.sqrt(variance)))
    return 0.5 * math.log(recurrent_variance * float((density * slopes.square()).sum()))


def rate_bound(recurrent: Tensor, activation: str) -> float:
    """The bound log(σ_max(R)·max φ′), which no rate exceeds.

    Args:
        recurrent: R, (H, H).
        activation: a key of `ACTIVATIONS`.

    >>> rate_bound(torch.eye(3), "sigmoid") == math.log(0.25)
    True
    """
    largest = float(torch.linalg.matrix_norm(recurrent.double(), ord=2))
    return math.log(largest * ACTIVATIONS[activation].largest_slope)
