"""The grid that time stamps lie on: every month, every hour, every working day, every n units."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from gatewise.data.time_stamps import Stamps, TimeForm
from gatewise.data.time_zones import to_local

_DAY = 86_400.0
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_SEVERAL_WEEKS = 10
_SPARSEST = 10
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

    @classmethod
    def infer(cls, stamps: Iterable[Stamps], form: TimeForm) -> Self:
        """The grid of one or many series, each of which is sorted and has no stamp twice.

        Raises:
            ValueError: when no grid holds them.
        """
        parts = [part for part in stamps if len(part) > 1]
        if not parts:
            raise ValueError(
                "the time stamps are too few to infer the length of a step; expected at least 2 in a series"
            )
        together = np.concatenate(parts)
        if form.counts:
            return cls("numbers", *_steps(parts, form.write, "{:g}".format), 1, 0.0, form)
        days, clock = _days_and_clock(together)
        if (clock == clock[0]).all():
            months = together.astype("M8[M]")
            day = (days - months.astype("M8[D]")).astype(int) + 1
            last = (((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(int) == day).all()
            if last or (day == day[0]).all():
                step = int(np.gcd.reduce(np.concatenate([np.diff(part.astype("M8[M]").astype(int)) for part in parts])))
                first = int(months.astype(int).min()) % step
                return cls("months", float(step), float(first), 31 if last else int(day[0]), float(clock[0]), form)
            gaps = np.concatenate([np.diff(part.astype("M8[D]").astype(int)) for part in parts])
            if _weekday(days).max() < 5 and len(days) >= _SEVERAL_WEEKS and np.median(gaps) == 1:
                return cls("weekdays", 1.0, 0.0, 1, float(clock[0]), form)
        seconds = [part.astype("f8") / 1e6 for part in parts]
        return cls("seconds", *_steps(seconds, lambda stamp: form.write(_stamp(stamp)), _length), 1, 0.0, form)

    def numbers(self, stamps: Stamps) -> tuple[Integers, np.ndarray[Any, np.dtype[np.bool_]]]:
        """The numbers (n,) of the steps at time stamps, and whether each stamp lies on the grid."""
        if self.kind == "numbers" or self.kind == "seconds":
            values = stamps if self.kind == "numbers" else stamps.astype("f8") / 1e6
            with np.errstate(over="ignore"):
                exact = ((values - self.phase) / self.every).clip(-_FARTHEST, _FARTHEST)
            nearest = np.rint(exact)
            return nearest.astype(np.int64), (np.abs(exact - nearest) < 0.01) & (np.abs(exact) < _FARTHEST)
        days, clock = _days_and_clock(stamps)
        if self.kind == "weekdays":
            week = (days.astype(np.int64) + _EPOCH_WEEKDAY) // 7
            return week * 5 + np.minimum(_weekday(days), 4), (_weekday(days) < 5) & (clock == self.clock)
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
            return _stamp(numbers * self.every + self.phase)
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
        return _length(self.every, units)

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


def _days_and_clock(stamps: Stamps) -> tuple[Stamps, np.ndarray[Any, np.dtype[np.float64]]]:
    days = stamps.astype("M8[D]")
    return days, (stamps - days).astype("m8[us]").astype("f8") / 1e6


def _weekday(days: Stamps) -> Integers:
    return (days.astype(np.int64) + _EPOCH_WEEKDAY) % 7


def _stamp(seconds: Any) -> Any:
    return np.rint(seconds * 1e6).astype("M8[us]")


def _length(size: float, units: Sequence[tuple[float, str]] = _UNITS) -> str:
    length, name = next(((unit, name) for unit, name in units if size % unit == 0), units[-1])
    count = size / length
    return f"1 {name}" if count == 1 else f"{count:g} {name}s"


def _steps(parts: list[Stamps], written: Callable[[float], str], length: Callable[[float], str]) -> tuple[float, float]:
    """The most frequent step and the phase.

    Args:
        parts: (n,) float64 each.
        written: a stamp, for people.
        length: a step, for people.

    Raises:
        ValueError: when the others are no multiples of it.
    """
    together, gaps = np.concatenate(parts), np.concatenate([np.diff(part) for part in parts])
    lengths, counts = np.unique(gaps, return_counts=True)
    step = float(lengths[counts.argmax()])
    phase = float(np.fmod(together[0], step))
    exact = (together - phase) / step
    off = np.abs(exact - np.rint(exact)) > 0.01
    if off.any():
        why = f"{written(together[off.argmax()])} is no whole number of them from {written(together[0])}"
    elif sum((part[-1] - part[0]) / step for part in parts) > _SPARSEST * len(together):
        why = f"there is a row for less than 1 in {_SPARSEST} of them"
    else:
        return step, phase
    raise ValueError(
        f"the time stamps are irregular: most steps are {length(step)}, and {why}; bring the data to equal steps "
        "first (in UTC, where --time-zone is given), or take rows as steps with --time-column row"
    )
