"""Where a time is in the cycles of the calendar: the hour of the day, the day of the week, the time of the year."""

from typing import Any

import numpy as np

from gatewise.data.time_grid import TimeGrid
from gatewise.data.time_stamps import Stamps

_DAY = 86_400.0
# Least number of cycles seen before the phase in one is informative: a year seen once is a trend, not a season.
_MIN_CYCLES = 2

_LENGTHS = {"day": _DAY, "week": 7 * _DAY, "year": 365.25 * _DAY}


def calendar_cycles(grid: TimeGrid, steps: int) -> tuple[str, ...]:
    """The cycles longer than two steps of a grid that a number of steps holds at least twice.

    >>> from gatewise.data.time_stamps import TimeForm
    >>> hourly = TimeGrid("seconds", 3600.0, 0.0, 1, 0.0, TimeForm("%Y-%m-%d %H:%M"))
    >>> calendar_cycles(hourly, 24 * 30)
    ('day', 'week')
    """
    if grid.kind == "numbers":
        return ()
    seconds = {"months": 365.25 / 12 * _DAY, "weekdays": 7 / 5 * _DAY, "seconds": 1.0}[grid.kind] * grid.every
    found = [
        name for name, length in _LENGTHS.items() if 2 * seconds < length and steps * seconds >= _MIN_CYCLES * length
    ]
    return tuple(found)


def calendar_features(stamps: Stamps, cycles: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sine and cosine of the phase in each cycle, (n, 2 × cycles).

    >>> calendar_features(np.array(["2024-01-01T06:00"], "M8[us]"), ("day",)).round(6).__abs__().tolist()
    [[1.0, 0.0]]
    """
    features = [
        wave(2 * np.pi * _position(stamps, cycle) / _LENGTHS[cycle]) for cycle in cycles for wave in (np.sin, np.cos)
    ]
    return np.stack(features, 1) if features else np.zeros((len(stamps), 0))


def _position(stamps: Stamps, cycle: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The seconds since a cycle began."""
    if cycle == "week":
        return (stamps.astype("M8[us]").astype("f8") / 1e6 - 4 * _DAY) % (7 * _DAY)  # 1970-01-05 was a Monday
    begin = stamps.astype("M8[D]" if cycle == "day" else "M8[Y]")
    return (stamps - begin).astype("m8[us]").astype("f8") / 1e6
