"""What every inspection of a trained model has in common, and how contributions are written."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.diagnostics import Trace
from gatewise.formatting import aligned, format_number
from gatewise.tasks.requests import Request

MAX_LISTED = 3
_BAR = 20


@dataclass(frozen=True)
class InspectionRequest(Request):
    """What a trained model is to read while it is watched; None for what was not given.

    Attributes:
        text: a text.
        data: files, or what else the task reads.
        steps: the largest number of tokens or steps.
        series: the name of a series.
        sequence: the number of a sequence, from 1.
        out: the report to write.
    """

    text: str | None = None
    data: Any = None
    steps: int | None = None
    series: str | None = None
    sequence: int | None = None
    out: str | Path | None = None

    def limits(self) -> dict[str, Any]:
        """``steps`` and ``out``, where they were given, as arguments of an ``inspect`` method."""
        return self.given(("out", "steps"))


class Inspected(ABC):
    """A model that was watched while it read. As a string, a table of the contributions to its predictions.

    Attributes:
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    trace: Trace

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Each prediction and its contributions, as JSON values; nothing for a model without attributions."""


def bars(what: str, contributions: Sequence[tuple[str, float]]) -> str:
    """A table of parts with bars for their contributions to a prediction.

    >>> print(bars("token", [("good", 2.0), ("not", -1.0)]))
    token  contribution
    good         +2.000  ++++++++++++++++++++
    not          -1.000  ----------
    """
    most = max((abs(value) for _, value in contributions), default=0.0) or 1.0
    rows = [
        [name, format_number(value, sign="+"), ("+" if value > 0 else "-") * round(_BAR * abs(value) / most)]
        for name, value in contributions
    ]
    return aligned([[what, "contribution", ""], *rows], "<><")


def largest(contributions: Sequence[Sequence[Any]], own: int | None = None) -> str:
    """The parts that contribute most to a prediction.

    Args:
        contributions: pairs of a part and its contribution.
        own: the index of the prediction's own token or step, if it has one.

    >>> largest([("a", 0.5), ("b", -2.0)], own=0)
    "'b' -2.00, itself +0.500"
    """
    values = sorted(enumerate(contributions), key=lambda item: -abs(item[1][1]))[:MAX_LISTED]
    return ", ".join(
        f"{'itself' if index == own else escaped(part, quotes=True)} {format_number(value, 3, '+')}"
        for index, (part, value) in values
    )


def escaped(part: object, *, quotes: bool = False) -> str:
    """A part as a table shows it: line breaks and other control characters escaped."""
    written = repr(str(part))
    return written if quotes else written[1:-1]
