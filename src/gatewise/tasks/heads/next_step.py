"""The next step of a sequence of numbers, from those before it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gatewise.data.batches import Batch
from gatewise.data.row_store import Field
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.heads.head import BATCH, Encoded, Head
from gatewise.tasks.heads.step_labels import of_sequences
from gatewise.tasks.parts import check_all
from gatewise.tasks.rows import Row, steps_of


class NextStep(NamedTuple):
    """The predicted features of the next step: numbers, or the probabilities of 1."""

    values: list[float]


class NextHead(Head):
    """Every step but the first, from all before it; features that are missing there have no loss.

    Targets are the steps (T, I) themselves.

    Real features: the loss of a step is half the squared error of the scaled features, summed, which is the negative
    log-likelihood of unit variance up to a constant. Binary ones: the negative log-likelihood of independent features,
    summed over them, as polyphonic music is scored (Boulanger-Lewandowski et al. 2012, arXiv:1206.6392).

    Args:
        options: the options of the run.
        width: I, the number of features.
    """

    has_probabilities = False

    def __init__(self, options: Any, width: int) -> None:
        self._names = options.feature_columns
        self._binary = options.binary
        self._width = width
        self.measure = "nats_per_step" if options.binary else "mean_squared_error"
        scaled = "scaled " if options.scale else ""
        self.loss_unit = "nats/step" if options.binary else f"{scaled}half squared error/step"

    @classmethod
    def learn(cls, options: Any, targets: Sequence[NDArray[np.float64]]) -> Self:
        return cls(options, targets[0].shape[1])

    @classmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        return cls(options, parts["scaling"].width)

    @property
    def parts(self) -> dict[str, Any]:
        return {}

    def check(self, part: str, targets: Sequence[NDArray[np.float64]]) -> None:
        check_all(part, targets, self._check)

    def _check(self, steps: NDArray[np.float64]) -> None:
        if len(steps) < 2:
            raise ValueError("expected at least 2 steps to predict the next from, got 1; leave it out")
        if self._binary and not ((steps == 0) | (steps == 1) | np.isnan(steps)).all():
            raise ValueError("expected features of 0 and 1; leave values at real for others")

    def encoder(self, targets: Sequence[Any]) -> tuple[Field, Callable[[Any], Any]]:
        return Field("float64", (self._width,)), lambda steps: steps

    @property
    def size(self) -> int:
        return self._width

    def _lengths(self, data: Encoded[Any]) -> NDArray[np.int64]:
        return steps_of(data.rows) - 1

    def _batch(self, data: Encoded[Any], indices: Sequence[int]) -> Batch:
        inputs, lengths = data.inputs(indices)
        targets = data.reader.numbers([data.values[index] for index in indices])[1:]
        return Batch(tuple(one[:-1] for one in inputs), lengths - 1, targets)

    def statistics_of(
        self, model: Tagger, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        return lambda batch: self._statistics(model(batch.inputs, batch.lengths), batch.targets, batch.lengths)

    def _statistics(self, found: Tensor, targets: Tensor, lengths: Tensor) -> BatchStatistics:
        """The loss of predictions (T, B, I) per step, and their squared errors."""
        valid = _valid(targets, lengths)
        found, targets = found[valid], targets[valid].to(found)
        squares = (found - targets).square()
        if self._binary:
            loss = functional.binary_cross_entropy_with_logits(found, targets, reduction="sum")
        else:
            loss = squares.sum() / 2
        return BatchStatistics(loss, int(lengths.sum()), float(squares.detach().sum()), len(targets))

    def scores(self, model: Tagger, data: Encoded[Any], plot: Path | None = None) -> dict[str, Any]:
        """``loss`` per step; for real features errors in their own units, and those of repeating the step before."""
        total, errors = BatchStatistics.sum(()), torch.zeros(3, dtype=torch.float64)
        for batch in tracked(self.batches(data, BATCH), "scoring", "steps", size=lambda batch: batch.steps):
            with torch.no_grad():
                found = model(batch.inputs, batch.lengths)
            total = total.plus(self._statistics(found, batch.targets, batch.lengths))
            valid = _valid(batch.targets, batch.lengths)
            predicted, true, before = (
                data.reader.scaling.unscaled(part)[valid]
                for part in (found, batch.targets, batch.inputs[0][..., : self._width])
            )
            off = predicted - true
            errors += torch.stack((off.abs().sum(), off.square().sum(), (before - true).abs().sum()))
        scores = {"steps": int(total.predictions), "loss": total.loss}
        if self._binary:
            return {**scores, "nats_per_step": total.loss}
        mae, mse, baseline = (errors / max(total.denominator, 1)).tolist()
        return {**scores, "mae": mae, "rmse": math.sqrt(mse), "baseline_mae": baseline}

    def predict(self, model: Tagger, reader: Any, rows: Sequence[Row]) -> list[NextStep]:
        """The step that follows each sequence."""

        def read_out(scores: Tensor, lengths: Tensor) -> Tensor:
            last = scores[lengths - 1, torch.arange(len(lengths))]
            return (last.sigmoid() if self._binary else reader.scaling.unscaled(last))[None]

        found = of_sequences(model, reader, rows, read_out, ("predicting", "sequences"))
        return [NextStep(values[0].tolist()) for values in found]

    def output_rows(
        self, found: NextStep, number: int, *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        yield dict(zip(self._names, found.values, strict=True)) if cells and self._names else found._asdict()

    def attribution_target(self, model: Tagger, reader: Any, x: Tensor, names: Sequence[str]) -> AttributionTarget:
        if len(x) < 2:
            raise ValueError("the sequence has one step; at least 2 are needed to predict the next from")
        targets, lengths = x[1:, :, : self._width], torch.tensor([len(x) - 1])

        def read_out(scores: Tensor) -> Tensor:
            last = scores[-1].double()
            return functional.logsigmoid(last) if self._binary else reader.scaling.unscaled(last)

        def loss(x: Tensor) -> Tensor:
            return self._statistics(model.read(x[:-1], lengths), targets, lengths).loss_sum / lengths.sum()

        unit = "probability" if self._binary else "value"
        return AttributionTarget(list(names[: self._width]), read_out, unit, loss=loss)


def _valid(targets: Tensor, lengths: Tensor) -> Tensor:
    """Which of the targets (T, B, I) are neither padding nor missing."""
    return length_mask(len(targets), lengths)[..., None] & ~targets.isnan()
