"""Contents of a report besides the trace: the run, attributions, attention."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

# Total number of points in curves and maps, about 10 characters each.
MOST_POINTS = 40_000


Tokens = Sequence[str] | Mapping[str, Sequence[str]]


class Heading(NamedTuple):
    """The heading of a report.

    Attributes:
        title: the name of the run or model.
        facts: further facts by name, such as the training data and date.
    """

    title: str = "What happens inside the network"
    facts: Mapping[str, str] = {}


class AttentionMap(NamedTuple):
    """The attention of a decoder.

    Attributes:
        source: the S source tokens.
        answer: the T generated tokens.
        weights: (T, S), each row sums to 1.
    """

    source: Sequence[str]
    answer: Sequence[str]
    weights: Tensor


class ChangeMap(NamedTuple):
    """An attribution of predictions to causes.

    Attributes:
        title: the title of the map.
        causes: names of the C causes.
        predictions: the P predictions, as text.
        changes: (P, C), the contribution of each cause to each prediction.
        timed: whether the causes are consecutive in time; otherwise only the largest may be shown.
    """

    title: str
    causes: Sequence[str]
    predictions: Sequence[str]
    changes: Tensor
    timed: bool = True


Attribution = tuple[str, Sequence[float]]
"""A prediction, as text, and the contribution of every token to it."""


def attribution_data(attributions: Sequence[Attribution]) -> list[dict[str, Any]]:
    """The contribution of every token to each prediction, for the page."""
    rows = max(1, MOST_POINTS // max(1, max((len(values) for _, values in attributions), default=1)))
    return [
        {"prediction": prediction, "values": [number(value) for value in values]}
        for prediction, values in attributions[:rows]
    ]


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
    """An attribution map with at most ``points`` points, for the page."""
    # The latest causes are kept: distant ones contribute least.
    first = max(0, len(found.causes) - max(1, points // max(1, len(found.predictions))))
    return {
        "title": found.title,
        "causes": list(found.causes[first:]),
        "predictions": list(found.predictions),
        "changes": [[number(value) for value in row] for row in found.changes[:, first:].tolist()],
        "timed": found.timed,
    }


def number(value: float) -> float | None:
    """A number with four significant digits, or None if it is not finite, for JSON."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
