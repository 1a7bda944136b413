"""How many independent forecasts the forecasts of a back-test are worth.

Forecasts that overlap in time, of one series or of several that move together, are right or wrong together. So they are
put in blocks of time, and the variance of the share of misses between blocks is compared with what it would be if all
were independent: the design effect of survey sampling (Kish 1965, Survey Sampling, ch. 5) with blocks as clusters.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_BOUND = -1.6449
"""The quantile of the standard normal distribution that 5 % are below."""


class EffectiveCount(NamedTuple):
    """A number of independent forecasts.

    Attributes:
        estimate: the number, from the number of blocks to that of forecasts.
        least: what it is at least, at a confidence of 95 %; never less than the number of blocks.
        blocks: the number of blocks.
    """

    estimate: float
    least: float
    blocks: int


def effective_count(missed: Tensor, blocks: Tensor) -> EffectiveCount:
    """The number of independent forecasts that N forecasts are worth.

    Args:
        missed: (N, M) bool, for M kinds of misses (of a lower and of an upper quantile) which forecasts are some.
        blocks: (N,) int64, the block of time of each forecast.

    >>> blocks = torch.arange(40) // 4
    >>> apart = torch.tensor([True, False, False, False]).repeat(10)  # in each block one of four
    >>> together = blocks < 3  # all of the first blocks
    >>> [effective_count(missed[:, None], blocks).estimate for missed in (apart, together)]
    [40, 10]
    """
    count, (_, of_block) = len(missed), blocks.unique(return_inverse=True)
    groups = int(of_block.max()) + 1
    if groups == 1:
        return EffectiveCount(1, 1, 1)
    misses = missed.double()
    share = misses.mean(0)
    sums = torch.zeros(groups, missed.shape[1], dtype=torch.float64).index_add_(0, of_block, misses - share)
    # In units of the variance of one forecast: the variance of the share is 1 / n of n independent ones.
    between = groups / (groups - 1) * sums.square().sum(0) / count**2
    variance = float((between / (share * (1 - share))).nanmean())
    # Without a miss nothing is known of how they depend on each other.
    estimate = groups if math.isnan(variance) else min(count, max(groups, 1 / variance)) if variance else count
    return EffectiveCount(estimate, max(groups, estimate * _least_chi_square(groups - 1) / (groups - 1)), groups)


def _least_chi_square(degrees: int) -> float:
    """The 5 % quantile of the χ² distribution, nearly (Wilson & Hilferty 1931).

    >>> round(_least_chi_square(3), 2), round(_least_chi_square(8), 2)  # 0.35 and 2.73
    (0.33, 2.72)
    """
    part = 2 / (9 * degrees)
    return degrees * max(0.0, 1 - part + _BOUND * math.sqrt(part)) ** 3
