"""The grid that the time stamps of one or many series suggest."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gatewise.data.mapped import Mapped
from gatewise.data.time_grid import TimeGrid, days_and_clock, length_of, stamp_of, weekday
from gatewise.data.time_stamps import Stamps, TimeForm

_SEVERAL_WEEKS = 10
_SPARSEST = 10


def infer_grid(stamps: Sequence[Stamps], form: TimeForm) -> TimeGrid:
    """The grid of series, each of which is sorted and has no stamp twice.

    Args:
        stamps: of each series, which are read several times, one series after the other.
        form: how they are written.

    Raises:
        ValueError: when no grid holds them.
    """
    several = [index for index, part in enumerate(stamps) if len(part) > 1]
    if not several:
        raise ValueError("the time stamps are too few to infer the length of a step; expected at least 2 in a series")
    if form.counts:
        numbers = Mapped(several, stamps.__getitem__)
        return TimeGrid("numbers", *_steps(numbers, form.write, "{:g}".format), 1, 0.0, form)
    dates = _Dates()
    for index in several:
        dates.add(stamps[index])
    if len(dates.clocks) == 1:
        (clock,) = dates.clocks
        if dates.are_last or len(dates.days) == 1:
            day = 31 if dates.are_last else dates.days.pop()
            return TimeGrid("months", float(dates.months), float(dates.first_month % dates.months), day, clock, form)
        if dates.last_weekday < 5 and dates.count >= _SEVERAL_WEEKS and _median(dates.gaps) == 1:
            return TimeGrid("weekdays", 1.0, 0.0, 1, clock, form)
    seconds = Mapped(several, lambda index: stamps[index].astype("f8") / 1e6)
    return TimeGrid("seconds", *_steps(seconds, lambda stamp: form.write(stamp_of(stamp)), length_of), 1, 0.0, form)


@dataclass
class _Dates:
    """What the dates of series have in common.

    Attributes:
        count: how many they are.
        clocks: their seconds since midnight, two different ones at most.
        days: their days of the month.
        are_last: whether each is the last day of its month.
        months: the greatest common divisor of the months from one to the next.
        first_month: the earliest month, counted from 1970.
        last_weekday: the latest day of the week, Monday being 0.
        gaps: how often which number of days lies between one and the next, where they have one clock.
    """

    count: int = 0
    clocks: set[float] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    are_last: bool = True
    months: int = 0
    first_month: int = 1 << 62
    last_weekday: int = 0
    gaps: Counter[int] = field(default_factory=Counter)

    def add(self, stamps: Stamps) -> None:
        """Add those of a series."""
        days, clock = days_and_clock(stamps)
        self.clocks |= set(np.unique(clock)[:2].tolist())
        if len(self.clocks) > 1:
            return
        months = stamps.astype("M8[M]")
        of_month = (days - months.astype("M8[D]")).astype(int) + 1
        self.count += len(stamps)
        self.days |= set(np.unique(of_month).tolist())
        lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(int)
        self.are_last = self.are_last and bool((lengths == of_month).all())
        self.months = math.gcd(self.months, int(np.gcd.reduce(np.diff(months.astype(int)))))
        self.first_month = min(self.first_month, int(months.astype(int).min()))
        self.last_weekday = max(self.last_weekday, int(weekday(days).max()))
        _count(self.gaps, np.diff(days.astype(int)))


def _count(counts: Counter[int] | Counter[float], values: np.ndarray) -> None:
    different, times = np.unique(values, return_counts=True)
    for value, count in zip(different.tolist(), times.tolist(), strict=True):
        counts[value] += count


def _median(counts: Counter[int]) -> float:
    """The median of values by how often each occurs."""
    values = sorted(counts)
    ends = np.cumsum([counts[value] for value in values])
    middle = [int(np.searchsorted(ends, position, side="right")) for position in ((ends[-1] - 1) // 2, ends[-1] // 2)]
    return sum(values[index] for index in middle) / 2


def _steps(
    parts: Sequence[Stamps], written: Callable[[float], str], length: Callable[[float], str]
) -> tuple[float, float]:
    """The most frequent step and the phase.

    Args:
        parts: (n,) float64 each.
        written: a stamp, for people.
        length: a step, for people.

    Raises:
        ValueError: when the others are no multiples of it.
    """
    counts = Counter[float]()
    for part in parts:
        _count(counts, np.diff(part))
    most = max(counts.values())
    step = min(value for value, count in counts.items() if count == most)
    first = float(parts[0][0])
    phase = float(np.fmod(first, step))
    stamps, spanned = 0, 0.0
    for part in parts:
        exact = (part - phase) / step
        off = np.abs(exact - np.rint(exact)) > 0.01
        if off.any():
            raise _irregular(
                f"{written(part[off.argmax()])} is no whole number of them from {written(first)}", length(step)
            )
        stamps += len(part)
        spanned += (part[-1] - part[0]) / step
    if spanned > _SPARSEST * stamps:
        raise _irregular(f"there is a row for less than 1 in {_SPARSEST} of them", length(step))
    return step, phase


def _irregular(why: str, step: str) -> ValueError:
    return ValueError(
        f"the time stamps are irregular: most steps are {step}, and {why}; bring the data to equal steps first (in "
        "UTC, where --time-zone is given), or take rows as steps with --time-column row"
    )
