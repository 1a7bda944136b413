"""The grid that time stamps lie on: every month, every hour, every working day, every n units."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from gatewise.data.time_stamps import Stamps, TimeForm
from gatewise.data.time_zones import to_local

_DAY = 86_400.0
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
# Beyond it float64 does not resolve single steps.
_FARTHEST = 2.0**53
_UNITS = [(7 * _DAY, "week"), (_DAY, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")]

Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class TimeGrid:
    """Equal steps of time, numbered by integers.

    Attributes:
        kind: "months", "weekdays" (Monday to Friday), "seconds" or "numbers".
        every: the length of a step, in months, working days, seconds or as a number.
        phase: where step 0 lies, in the same unit.
        day: the day of the month, 31 for its last (months).
        clock: the seconds since midnight (months, working days).
        form: how stamps are written.
    """

    unit: ClassVar[str] = "time grid"

    kind: Literal["months", "weekdays", "seconds", "numbers"]
    every: float
    phase: float
    day: int
    clock: float
    form: TimeForm

    def numbers(self, stamps: Stamps) -> tuple[Integers, np.ndarray[Any, np.dtype[np.bool_]]]:
        """The numbers (n,) of the steps at time stamps, and whether each stamp lies on the grid."""
        if self.kind == "numbers" or self.kind == "seconds":
            values = stamps if self.kind == "numbers" else stamps.astype("f8") / 1e6
            with np.errstate(over="ignore"):
                exact = ((values - self.phase) / self.every).clip(-_FARTHEST, _FARTHEST)
            nearest = np.rint(exact)
            return nearest.astype(np.int64), (np.abs(exact - nearest) < 0.01) & (np.abs(exact) < _FARTHEST)
        days, clock = days_and_clock(stamps)
        if self.kind == "weekdays":
            week = (days.astype(np.int64) + _EPOCH_WEEKDAY) // 7
            return week * 5 + np.minimum(weekday(days), 4), (weekday(days) < 5) & (clock == self.clock)
        months = stamps.astype("M8[M]")
        exact = (months.astype(np.int64) - int(self.phase)) / self.every
        nearest = np.rint(exact)
        on_grid = (exact == nearest) & (days == self._day_of(months)) & (clock == self.clock)
        return nearest.astype(np.int64), on_grid

    def stamps(self, numbers: Integers) -> Stamps:
        """The time stamps of steps."""
        if self.kind == "numbers":
            return numbers * self.every + self.phase
        if self.kind == "seconds":
            return stamp_of(numbers * self.every + self.phase)
        if self.kind == "weekdays":
            week, day = np.divmod(numbers, 5)
            days = (week * 7 + day - _EPOCH_WEEKDAY).astype("M8[D]")
        else:
            days = self._day_of((numbers * int(self.every) + int(self.phase)).astype("M8[M]"))
        return days.astype("M8[us]") + np.timedelta64(round(self.clock * 1e6), "us")

    def local_stamps(self, numbers: Integers) -> Stamps:
        """The time stamps of steps in the time zone of the data, if there is one."""
        stamps = self.stamps(numbers)
        return stamps if self.form.zone is None else to_local(stamps, self.form.zone)

    def written(self, numbers: Integers) -> list[str]:
        """The time stamps of steps as text."""
        return [self.form.write(stamp) for stamp in self.stamps(numbers)]

    @property
    def title(self) -> str:
        """What a step is, for people.

        >>> TimeGrid("months", 3.0, 0.0, 1, 0.0, TimeForm("%Y-%m")).title
        '3 months'
        """
        if self.kind == "numbers":
            return f"{self.every:g} (a number)"
        units = {"months": [(12, "year"), (1, "month")], "weekdays": [(1, "working day")]}.get(self.kind, _UNITS)
        return length_of(self.every, units)

    @property
    def season(self) -> int:
        """The steps of the season that such data usually has: a year, a week, a day, an hour or a minute; 1 for none.

        >>> TimeGrid("seconds", 3600.0, 0.0, 1, 0.0, TimeForm("%H")).season
        24
        """
        if self.kind == "numbers":
            return 1
        if self.kind == "weekdays":
            return 5
        if self.kind == "months":
            return round(12 / self.every) if 12 % self.every == 0 else 1
        for cycle, shortest in ((365.25 * _DAY, 7 * _DAY), (7 * _DAY, _DAY), (_DAY, 300), (3600, 60), (60, 0)):
            if self.every >= shortest:
                return max(1, int(cycle // self.every))
        return 1

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return asdict(self)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The grid that `content` described."""
        names = ("kind", "every", "phase", "day", "clock")
        return cls(**{name: content[name] for name in names}, form=TimeForm(**content["form"]))

    def _day_of(self, months: Stamps) -> Stamps:
        last = (months + 1).astype("M8[D]") - 1
        return np.minimum(months.astype("M8[D]") + (self.day - 1), last)


def days_and_clock(stamps: Stamps) -> tuple[Stamps, np.ndarray[Any, np.dtype[np.float64]]]:
    """The days (n,) datetime64[D] of dates, and the seconds since midnight."""
    days = stamps.astype("M8[D]")
    return days, (stamps - days).astype("m8[us]").astype("f8") / 1e6


def weekday(days: Stamps) -> Integers:
    """The days of the week (n,) of days, Monday being 0."""
    return (days.astype(np.int64) + _EPOCH_WEEKDAY) % 7


def stamp_of(seconds: Any) -> Any:
    """The dates that are some seconds after 1970 began."""
    return np.rint(seconds * 1e6).astype("M8[us]")


def length_of(size: float, units: Sequence[tuple[float, str]] = _UNITS) -> str:
    """A number of seconds, or of other units, in the largest unit that it is a multiple of.

    >>> length_of(7200.0)
    '2 hours'
    """
    length, name = next(((unit, name) for unit, name in units if size % unit == 0), units[-1])
    count = size / length
    return f"1 {name}" if count == 1 else f"{count:g} {name}s"
