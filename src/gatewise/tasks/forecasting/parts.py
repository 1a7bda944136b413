"""Which steps of each series are learned from, which decide, and which are for the test."""

from collections.abc import Sequence
from typing import NamedTuple

from gatewise.data.series import Series
from gatewise.tasks.forecasting.batches import Span
from gatewise.tasks.forecasting.recipe import Recipe

# Fewer steps say nothing of how a series goes.
_LEAST_TO_LEARN = 8


class Ends(NamedTuple):
    """The steps at which the parts of a series end: of learning, of deciding, of the series."""

    learned: int
    decided: int
    length: int


def split(length: int, horizon: int, held_out: float, test: float) -> Ends | None:
    """The parts of a series of some length; None where too little is left to learn from.

    Each part but the first has room for one forecast at least, the one that decides for a horizon of forecasts where
    the series is long enough.

    >>> split(144, 12, 0.1, 0.2)
    Ends(learned=91, decided=115, length=144)
    """
    tested = max(round(length * test), horizon) if test else 0
    deciding = max(round(length * held_out), horizon, min(2 * horizon, length // 6))
    learned = length - tested - deciding
    return Ends(learned, length - tested, length) if learned >= _LEAST_TO_LEARN else None


def split_all(series: Sequence[Series], horizon: int, held_out: float, test: float) -> dict[int, Ends]:
    """The parts of those series, by number, that are long enough.

    Raises:
        ValueError: when none is.
    """
    found = {at: split(len(one), horizon, held_out, test) for at, one in enumerate(series)}
    enough = {at: ends for at, ends in found.items() if ends is not None}
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
    for place, (learned, decided, length) in enumerate(ends):
        begin, end = (learned, decided) if part == "held_out" else (decided, length)
        if end - begin >= horizon:
            spans.append(Span(place, 0, begin - 1, end - horizon - 1))
    return spans


def all_spans(lengths: Sequence[int], recipe: Recipe) -> list[Span]:
    """The forecasts over whole series, once a window and a season were read; over shorter ones from the middle on."""
    horizon, before = recipe.horizon, max(recipe.window, recipe.season + 1)
    spans: list[Span] = []
    for place, length in enumerate(lengths):
        first = min(before, length // 2) - 1
        if first >= 0 and first < length - horizon:
            spans.append(Span(place, 0, first, length - horizon - 1))
    return spans
