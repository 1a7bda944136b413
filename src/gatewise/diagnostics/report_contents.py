"""What a report shows beside a trace: the run, what moved what, where a decoder looked."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

# Points of all curves and of all maps together, about 10 characters each.
MOST_POINTS = 40_000


Tokens = Sequence[str] | Mapping[str, Sequence[str]]


class Heading(NamedTuple):
    """What a report is about.

    Attributes:
        title: the name of the run or model.
        facts: more of it, by name: what data it learned, when.
    """

    title: str = "What happens inside the network"
    facts: Mapping[str, str] = {}


class AttentionMap(NamedTuple):
    """Where a decoder looked while it wrote.

    Attributes:
        source: the S tokens that it looked at.
        answer: the T tokens that it wrote.
        weights: (T, S), each row adds up to 1.
    """

    source: Sequence[str]
    answer: Sequence[str]
    weights: Tensor


class ChangeMap(NamedTuple):
    """What moved numbers, and by how much.

    Attributes:
        title: what the map shows, for people.
        causes: the C things that moved them.
        answers: the A numbers that were moved, as text.
        changes: (A, C), what each cause adds to each number.
        timed: whether the causes follow each other in time; of others those that moved most may be shown alone.
    """

    title: str
    causes: Sequence[str]
    answers: Sequence[str]
    changes: Tensor
    timed: bool = True


def moved_data(moved: Sequence[tuple[str, Sequence[float]]]) -> list[dict[str, Any]]:
    """What every token adds to answers, for the page."""
    rows = max(1, MOST_POINTS // max(1, max((len(values) for _, values in moved), default=1)))
    return [{"answer": answer, "values": [number(value) for value in values]} for answer, values in moved[:rows]]


def attention_data(attention: AttentionMap | None) -> dict[str, Any] | None:
    """An attention map, for the page."""
    if attention is None:
        return None
    columns = min(len(attention.source), 200)
    rows = max(1, MOST_POINTS // max(1, columns))
    weights = attention.weights[:rows, :columns].tolist()
    return {
        "source": list(attention.source[:columns]),
        "answer": list(attention.answer[:rows]),
        "weights": [[round(value, 3) for value in row] for row in weights],
    }


def change_data(found: ChangeMap, points: int) -> dict[str, Any]:
    """A map of changes, of at most so many points, for the page."""
    # The latest causes are kept: what lies far back moves least.
    first = max(0, len(found.causes) - max(1, points // max(1, len(found.answers))))
    return {
        "title": found.title,
        "causes": list(found.causes[first:]),
        "answers": list(found.answers),
        "changes": [[number(value) for value in row] for row in found.changes[:, first:].tolist()],
        "timed": found.timed,
    }


def number(value: float) -> float | None:
    """A number with four digits, or None where JSON has none."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
