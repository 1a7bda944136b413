"""Two functions timed in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.contenders import NamedTensors
from benchmarks.seconds import seconds_of
from benchmarks.statistics import Quartiles, quartiles
from benchmarks.timing import interleaved


@dataclass
class Function:
    """A function as a contender."""

    name: str
    call: Callable[[], object]
    remote = False

    def compute(self) -> NamedTensors:
        """Nothing: what functions compute is compared by who calls `beside`."""
        return {}

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each of some calls."""
        return seconds_of(self.call, calls)


class Beside(NamedTuple):
    """Times of two functions.

    Attributes:
        first, second: seconds of a call.
        ratio: of the first over the second, within a round.
    """

    first: Quartiles
    second: Quartiles
    ratio: Quartiles


def beside(first: Callable[[], object], second: Callable[[], object], pairs: int) -> Beside:
    """Time two functions in turns, A B A B …, in this number of rounds."""
    rounds = interleaved([Function("first", first), Function("second", second)], pairs)
    ratios = [one / other for one, other in zip(*rounds, strict=True)]
    return Beside(quartiles(rounds[0]), quartiles(rounds[1]), quartiles(ratios))
