"""Labels with their probabilities, for programs and as rows."""

from typing import Any, NamedTuple

from torch import Tensor

from gatewise.data.labels import Labels


class Prediction(NamedTuple):
    """What a model makes of a text.

    Attributes:
        label: the most probable label.
        probability: its probability.
        probabilities: that of every label.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def predictions(logits: Tensor, labels: Labels) -> list[Prediction]:
    """What scores (N, K) say."""
    found: list[Prediction] = []
    for row in logits.softmax(-1):
        values = dict(zip(labels.names, row.tolist(), strict=True))
        best = max(values, key=values.__getitem__)
        found.append(Prediction(best, values[best], values))
    return found


def prediction_row(found: Prediction | None, labels: Labels, probabilities: bool) -> dict[str, Any]:
    """What is written of a prediction, or where there is none; the probability of every label, if wanted."""
    values = dict.fromkeys(labels.names) if found is None else found.probabilities
    return {
        "label": None if found is None else found.label,
        "probability": None if found is None else found.probability,
        **({"probabilities": values} if probabilities else {}),
    }
