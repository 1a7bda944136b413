"""The rate at which the gradient of a loss at the last step shrinks or grows over time, measured with `watch`."""

import math
from statistics import correlation, linear_regression
from typing import NamedTuple

from torch import Tensor

from gatewise.diagnostics import watch
from gatewise.layers import Recurrent

_RANGE = 1e-200  # relative to the largest norm: far above where double precision ends


class Rate(NamedTuple):
    """A line through the logarithms of the norms.

    Attributes:
        rate: its slope over the distance from the loss, in nats for a step; None if fewer than three norms are left.
        r_squared: the share of the variance that it explains.
        norms: the norm of the gradient by distance, relative to that at distance 0.
    """

    rate: float | None
    r_squared: float
    norms: list[float]


def gradient_rate(layer: Recurrent, x: Tensor, *, skip: int = 10) -> Rate:
    """Measure the rate in the lowest layer of a stack, for the sum of the last outputs.

    Args:
        layer: the layer, or stack of layers.
        x: (T, 1, I), one sequence: the norm over several would be that of the largest.
        skip: the steps nearest to the loss, before the line begins.
    """
    with watch(layer) as trace:
        layer(x)[0][-1].sum().backward()
    layer.zero_grad()
    flow = trace.gradient_flow()
    series = next(flow[key] for key in flow if key.rpartition(".")[2] == "h")
    return fitted_rate(series.flip(0).double(), skip=skip)


def fitted_rate(norms: Tensor, *, skip: int = 10) -> Rate:
    """The line through the logarithms of norms by distance.

    Args:
        norms: by distance from the loss.
        skip: the number of first distances to exclude.

    >>> import torch
    >>> round(fitted_rate(torch.tensor([0.5**d for d in range(40)], dtype=torch.float64)).rate, 4)
    -0.6931
    """
    relative = (norms / norms.max()).tolist()
    points = [
        (distance, math.log(norm)) for distance, norm in enumerate(relative) if distance >= skip and norm > _RANGE
    ]
    rounded = [float(f"{norm:.4g}") if norm > _RANGE else 0.0 for norm in relative]
    if len(points) < 3:
        return Rate(None, 0.0, rounded)
    distances, values = zip(*points, strict=True)
    rate = linear_regression(distances, values).slope
    spread = max(values) > min(values)  # on a level line the correlation is undefined, and nothing is left to explain
    return Rate(round(rate, 12), correlation(distances, values) ** 2 if spread else 1.0, rounded)
