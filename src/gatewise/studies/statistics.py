"""Statistics of a few seeds: paired comparisons and shares of successes, each with its interval.

Tests and intervals are SciPy's. Nothing is assumed about distributions: with few seeds that could not be checked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
FEWEST_PAIRS = 5
"""Pairs below which no difference counts as clear."""
_RESAMPLES = 9999  # up to 13 pairs, SciPy tries all 2¹³ assignments of signs instead


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two conditions over the same seeds.

    Attributes:
        what: what is compared, such as "LSTM − GRU: sequences until solved".
        unit: the unit of the differences.
        differences: first minus second, for each seed.
        mean: their mean.
        low, high: the bootstrap interval of the mean (percentiles, 95 %).
        p: the two-sided p of the sign-flip permutation test: how often random signs give a mean as far from 0.
        smallest_p: the least p that so few pairs can give.
        effect: the mean in standard deviations of the differences (Cohen's d_z); None if all are equal.
    """

    what: str
    unit: str
    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    p: float
    smallest_p: float
    effect: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the mean excludes 0, and p is at most 0.05 or the least that is possible.

        With fewer than five pairs nothing is clear.
        """
        return (
            len(self.differences) >= FEWEST_PAIRS
            and not self.low <= 0 <= self.high
            and self.p <= max(1 - CONFIDENCE, self.smallest_p) * (1 + 1e-9)
        )

    @property
    def is_clearly_more(self) -> bool:
        """Whether the first is clearly greater."""
        return self.is_clear and self.mean > 0

    @property
    def is_clearly_less(self) -> bool:
        """Whether the first is clearly smaller."""
        return self.is_clear and self.mean < 0


def compare(what: str, unit: str, first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two conditions, pair by pair.

    Args:
        what, unit: see `Comparison`.
        first, second: a value for each seed.

    Raises:
        ValueError: for no pairs, or different numbers of values.

    >>> found = compare("a − b", "steps", [3.0, 5.0, 4.0, 6.0, 4.0], [1.0, 2.0, 2.0, 3.0, 1.0])
    >>> found.mean, found.p, found.smallest_p
    (2.6, 0.0625, 0.0625)
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{what}: expected as many values on both sides, got {len(first)} and {len(second)}")
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    mean = math.fsum(differences) / len(differences)
    low, high = interval_of_mean(differences)
    spread = _deviation(differences, mean)
    return Comparison(
        what,
        unit,
        tuple(differences),
        mean,
        low,
        high,
        _sign_flip_p(differences),
        min(1.0, 2.0 ** (1 - len(differences))),
        mean / spread if spread > 0 else None,
    )


def interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    """The bootstrap interval of the mean: percentiles of resampled means, always with the same random numbers.

    >>> interval_of_mean([2.0, 2.0, 2.0])
    (2.0, 2.0)
    """
    import numpy as np
    from scipy import stats

    if min(values) == max(values):
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def share(successes: int, trials: int) -> str:
    """A share of successes with Wilson's interval.

    >>> share(9, 10)
    '9/10 (60–98 %)'
    """
    from scipy import stats

    found = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return f"{successes}/{trials} ({100 * found.low:.0f}–{100 * found.high:.0f} %)"


def _sign_flip_p(differences: Sequence[float]) -> float:
    import numpy as np
    from scipy import stats

    if len(differences) == 1 or not any(differences):
        return 1.0
    return float(
        stats.permutation_test(
            (np.asarray(differences),),
            np.mean,
            permutation_type="samples",
            n_resamples=_RESAMPLES,
            rng=np.random.default_rng(0),
        ).pvalue
    )


def _deviation(values: Sequence[float], mean: float) -> float:
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
