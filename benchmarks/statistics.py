"""What a list of times says. Standard library alone."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles."""

    median: float
    low: float
    high: float


def ratio_text(found: Quartiles, sign: str = "") -> str:
    """A ratio with its quartiles.

    >>> ratio_text(Quartiles(1.5, 1.25, 2.0), "×")
    '1.50× (1.25–2.00)'
    """
    return f"{found.median:.2f}{sign} ({found.low:.2f}–{found.high:.2f})"


def quartiles(values: Sequence[float]) -> Quartiles:
    """Median and quartiles.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    Quartiles(median=3.0, low=2.0, high=4.0)
    """
    if len(values) < 2:
        return Quartiles(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(median, low, high)


def ratio_row(name: str, shape: Sequence[int], rounds: Sequence[Sequence[float]], unit: float, most_others: int) -> str:
    """A row of a table in Markdown: the first contender's time, and the ratios of the others to it within each round.

    Args:
        name, shape: of the case.
        rounds: the seconds of each contender in each round.
        unit: by which seconds are multiplied.
        most_others: columns of ratios, of which the last may be empty.

    >>> ratio_row("lstm", (1, 2), [[0.5, 0.5], [1.0, 1.0]], 1e3, 2)
    '| lstm | 1, 2 | 500.00 | 2.00 (2.00–2.00) |  |'
    """
    own, *others = rounds
    ratios = [quartiles([one / mine for one, mine in zip(other, own, strict=True)]) for other in others]
    cells = [f"{quartiles(own).median * unit:.2f}", *map(ratio_text, ratios)]
    return f"| {name} | {', '.join(map(str, shape))} | {' | '.join(cells + [''] * (1 + most_others - len(cells)))} |"


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values))
