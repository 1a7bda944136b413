"""A number for a text or a sequence: least squares (regression)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.data.numerals import parse_number
from gatewise.data.row_store import Field
from gatewise.data.scaling import Scaling
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.heads.sequence_head import ScoredPart, SequenceHead
from gatewise.tasks.parts import check_all


class Number(NamedTuple):
    """The predicted number of a text or a sequence."""

    value: float


class _SquaredDeviations:
    """The sum of squared distances of numbers from their mean, of parts (Chan, Golub & LeVeque 1983, eq. 2.1).

    Attributes:
        count: how many numbers there are.
        squares: the sum; 0 exactly where all are the same.
    """

    def __init__(self) -> None:
        self.count = 0
        self.squares = 0.0
        self._first = self._mean = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        self._first = self._first if self.count else float(values[0])
        shifted = values - self._first
        mean, count = float(shifted.mean()), self.count + len(values)
        off = mean - self._mean
        self.squares += float(np.square(shifted - mean).sum()) + off * off * self.count * len(values) / count
        self._mean += off * len(values) / count
        self.count = count


def why_no_number(written: str) -> str | None:
    """What is wrong with a number as the data has it; None where nothing is.

    >>> why_no_number("3.5"), why_no_number("high")
    (None, "expected a finite number, got 'high'")
    """
    number = parse_number(written)
    return None if number is not None and math.isfinite(number) else f"expected a finite number, got {written!r}"


class NumberHead(SequenceHead):
    """A number, learned scaled to mean 0 and deviation 1 over the training data, and scored in its own units.

    Args:
        scaling: of the one number.
    """

    measure = "mae"
    loss_unit = "scaled squared error"
    by_loss = True
    has_probabilities = False

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling

    @classmethod
    def learn(cls, options: Any, targets: Sequence[str]) -> Self:
        values = np.fromiter(map(_value, targets), np.float64)
        scaling = Scaling.learn([values[:, None]])
        if scaling.constant:
            raise ValueError(f"the numbers to learn never change ({values[0]:g}); there is nothing to tell")
        return cls(scaling)

    @classmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        return cls(parts["target"])

    @property
    def size(self) -> int:
        return 1

    @property
    def parts(self) -> dict[str, Any]:
        return {"target": self._scaling}

    @property
    def summary(self) -> str:
        return f"numbers to tell: mean {float(self._scaling.means):g}, deviation {float(self._scaling.deviations):g}"

    def check(self, part: str, targets: Sequence[str]) -> None:
        check_all(part, targets, _value, "example")

    def encoder(self, targets: Iterable[str]) -> tuple[Field, Callable[[str], float]]:
        mean, deviation = float(self._scaling.means), float(self._scaling.deviations)
        return Field("float32", ragged=False), lambda one: (_value(one) - mean) / deviation

    def statistics_of(
        self, model: Classifier, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        deviation = float(self._scaling.deviations)

        def statistics(batch: Batch) -> BatchStatistics:
            predicted = model(batch.inputs, batch.lengths)[:, 0]
            off = predicted - batch.targets.to(predicted)
            absolute = float(off.detach().abs().sum()) * deviation
            return BatchStatistics(off.square().sum(), len(off), absolute, len(off))

        return statistics

    def scores_of(self, parts: Iterable[ScoredPart], plot: Path | None = None) -> dict[str, Any]:
        """``mae``, ``rmse`` and, unless all are the same, ``r2``; beside those of the training data's mean."""
        totals, spread = np.zeros(4), _SquaredDeviations()
        for logits, targets in parts:
            truth = np.fromiter(map(_value, targets), np.float64)
            off = np.array([found.value for found in self.predictions(logits)]) - truth
            of_mean = float(self._scaling.means) - truth
            totals += [np.abs(off).sum(), np.square(off).sum(), np.abs(of_mean).sum(), np.square(of_mean).sum()]
            spread.add(truth)
        mae, mse, of_mean_mae, of_mean_mse = (totals / spread.count).tolist()
        return {
            "mae": mae,
            "rmse": math.sqrt(mse),
            **({"r2": 1 - float(totals[1]) / spread.squares} if spread.squares > 0 else {}),
            "baseline_mae": of_mean_mae,
            "baseline_rmse": math.sqrt(of_mean_mse),
        }

    def predictions(self, logits: Tensor) -> list[Number]:
        return [Number(value) for value in self._scaling.unscaled(logits)[:, 0].tolist()]

    def row(self, found: Number | None, *, probabilities: bool) -> dict[str, Any]:
        return {"value": None if found is None else found.value}

    def attribution_target_of(self, logits: Tensor) -> AttributionTarget:
        return AttributionTarget(["value"], self._scaling.unscaled, "value")


def _value(written: str) -> float:
    wrong = why_no_number(written)
    if wrong is not None:
        raise ValueError(wrong)
    return float(parse_number(written) or 0.0)
