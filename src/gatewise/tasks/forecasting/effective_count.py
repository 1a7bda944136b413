"""How many independent forecasts the forecasts of a back-test are worth.

Forecasts that overlap in time, of one series or of several that move together, are right or wrong together. So they are
put in blocks of time, and the variance of the share of misses between blocks is compared with what it would be if all
were independent: the design effect of survey sampling (Kish 1965, Survey Sampling, ch. 5) with blocks as clusters.
"""

import math

import torch
from torch import Tensor


def effective_count(missed: Tensor, blocks: Tensor) -> float:
    """The number of independent forecasts that N forecasts are worth, from the number of blocks to N.

    Args:
        missed: (N, M) bool, for M kinds of misses (of a lower and of an upper quantile) which forecasts are some.
        blocks: (N,) int64, the block of time of each forecast.

    >>> blocks = torch.arange(40) // 4
    >>> apart = torch.tensor([True, False, False, False]).repeat(10)  # in each block one of four
    >>> together = blocks < 3  # all of the first blocks
    >>> [effective_count(missed[:, None], blocks) for missed in (apart, together)]
    [40.0, 10.0]
    """
    count, (_, of_block) = len(missed), blocks.unique(return_inverse=True)
    groups = int(of_block.max()) + 1
    if groups == 1:
        return 1.0
    misses = missed.double()
    share = misses.mean(0)
    totals = torch.zeros(groups, missed.shape[1], dtype=torch.float64).index_add_(0, of_block, misses - share)
    # In units of the variance of one forecast: the variance of the share is 1 / n of n independent ones.
    between = groups / (groups - 1) * totals.square().sum(0) / count**2
    variance = float((between / (share * (1 - share))).nanmean())
    # Without a miss nothing is known of how they depend on each other.
    estimate = groups if math.isnan(variance) else 1 / variance if variance else math.inf
    return float(min(count, max(groups, estimate)))
