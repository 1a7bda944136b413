"""Which steps of each series are learned from, which decide, and which are for the test."""

from collections.abc import Sequence
from typing import NamedTuple

from gatewise.data.series import Series
from gatewise.tasks.forecasting.batches import Span
from gatewise.tasks.forecasting.preprocessing import Preprocessing

# Fewer steps say nothing of how a series goes.
_MIN_TO_LEARN = 8


class Ends(NamedTuple):
    """The steps at which the parts of a series end: of learning, of deciding, of the series."""

    learned: int
    decided: int
    length: int


def _steps(length: int, part: float) -> int:
    """The steps of a part that is a share of a series, or a number of them."""
    return int(part) if part >= 1 else round(length * part)


def split(length: int, horizon: int, held_out: float, test: float) -> Ends | None:
    """The parts of a series of some length; None where too little is left to learn from.

    A part that is a share (below 1) has room for one forecast at least, and that which decides for a horizon of
    forecasts where the series is long enough. A number of steps is taken as it is.

    >>> split(144, 12, 0.1, 0.2)
    Ends(learned=91, decided=115, length=144)
    >>> split(144, 12, 0.1, 24)
    Ends(learned=96, decided=120, length=144)
    """
    tested = _steps(length, test) if test >= 1 else max(_steps(length, test), horizon) if test else 0
    least = 0 if held_out >= 1 else max(horizon, min(2 * horizon, length // 6))
    learned = length - tested - max(_steps(length, held_out), least)
    return Ends(learned, length - tested, length) if learned >= _MIN_TO_LEARN else None


class Tables(NamedTuple):
    """How many tables there are of each part: to learn from, to decide, for the test.

    Without one to decide, that part is the last one of those to learn from; without one for the test, likewise.
    """

    learned: int
    decided: int = 0
    tested: int = 0


_ONE_TABLE = Tables(1)


def split_by_tables(one: Series, tables: Tables, horizon: int, held_out: float) -> Ends | None:
    """The parts of a series whose held-out steps, or those of the test, are in tables of their own.

    Raises:
        ValueError: when a table has steps before the end of the table that it comes after.
    """
    ends: list[int] = []
    begin, position = 0, 0
    for count in tables:
        spans = [span for span in one.sources[position : position + count] if span[0] < span[1]]
        position += count
        if spans and min(spans)[0] < begin:
            raise ValueError(
                f"series {one.name!r}: the tables of its parts (data, valid, test) overlap in time; expected each to "
                "begin after the last step of the one before"
            )
        begin = max((end for _, end in spans), default=begin)
        ends.append(begin)
    learned, decided, length = ends
    if tables.decided == 0:
        before = split(decided, horizon, held_out, 0.0)
        return None if before is None else Ends(before.learned, decided, length)
    return Ends(learned, decided, length) if learned >= _MIN_TO_LEARN else None


def split_all(
    series: Sequence[Series], horizon: int, held_out: float, test: float, tables: Tables = _ONE_TABLE
) -> dict[int, Ends]:
    """The parts of those series, by number, that are long enough.

    Args:
        series: the series.
        horizon: the steps of a forecast.
        held_out: the share or number of the steps that decide, where no table has them.
        test: that of the test.
        tables: how many tables there are of each part.

    Raises:
        ValueError: when none is, no forecast fits in a part, or the tables of the parts overlap.
    """
    for name, part in (("held_out", held_out), ("test", test)):
        if 1 <= part < horizon:
            raise ValueError(
                f"{name}: {part:g} steps hold no forecast of a horizon of {horizon}; expected at least that"
            )
    found = {
        index: split(len(one), horizon, held_out, test)
        if tables.decided == tables.tested == 0
        else split_by_tables(one, tables, horizon, held_out)
        for index, one in enumerate(series)
    }
    enough = {index: ends for index, ends in found.items() if ends is not None}
    if not enough:
        longest = max(series, key=len)
        raise ValueError(
            f"series {longest.name!r} has {len(longest)} steps and none has more: too few to learn from with a horizon "
            f"of {horizon}, beside what held_out and test take; bring longer series, or try a smaller horizon or test 0"
        )
    return enough


def scored_spans(ends: Sequence[Ends], horizon: int, part: str) -> list[Span]:
    """The forecasts of a part, "held_out" or "test", from every step whose horizon lies in it."""
    spans: list[Span] = []
    for position, (learned, decided, length) in enumerate(ends):
        begin, end = (learned, decided) if part == "held_out" else (decided, length)
        if end - begin >= horizon:
            spans.append(Span(position, 0, begin - 1, end - horizon - 1))
    return spans


def all_spans(lengths: Sequence[int], preprocessing: Preprocessing) -> list[Span]:
    """The forecasts over whole series, once a window and a season were read; over shorter ones from the middle on."""
    horizon, before = preprocessing.horizon, max(preprocessing.window, preprocessing.season + 1)
    spans: list[Span] = []
    for position, length in enumerate(lengths):
        first = min(before, length // 2) - 1
        if first >= 0 and first < length - horizon:
            spans.append(Span(position, 0, first, length - horizon - 1))
    return spans
