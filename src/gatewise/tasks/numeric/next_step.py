"""The next step of a sequence of numbers, from those before it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.numeric_sequences import NumericSequence
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.inspection import Question
from gatewise.tasks.numeric.objective import BATCH, Goal
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.prediction_io import in_groups
from gatewise.tasks.rows import Features


class NextStep(NamedTuple):
    """The features of the step that comes next: numbers, or the probabilities of 1."""

    values: list[float]


class NextSteps(Goal):
    """Every step but the first, from all before it.

    Real features: the loss of a step is half the squared error of the scaled features, summed, which is the negative
    log-likelihood of unit variance up to a constant. Binary ones: the negative log-likelihood of independent features,
    summed over them, as polyphonic music is scored (Boulanger-Lewandowski et al. 2012, arXiv:1206.6392).
    """

    def __init__(self, options: NumericOptions, reader: FeatureReader) -> None:
        super().__init__(options, reader)
        self._binary = options.values == "binary"
        if self._binary:
            self.measure = Measure("nats_per_step", "steps", "nats/step")
        else:
            scaled = "scaled " if options.scale else ""
            self.measure = Measure("mean_squared_error", "steps", f"{scaled}half squared error/step")

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """Nothing but the scaling, which the reader has."""
        return cls(options, reader)

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader)

    @property
    def parts(self) -> dict[str, Any]:
        return {}

    def make_model(self) -> Tagger:
        return initialised(Tagger(nn.Identity(), self.make_encoder(), self.reader.scaling.width), self.options)

    def batches(
        self, examples: Sequence[NumericSequence], where: str, size: int, seed: int | None = None
    ) -> RaggedBatches:
        rows = [
            self._checked(row.numbers, f"{where.replace('_', ' ')}: sequence {number}")
            for number, row in enumerate(self.read(examples, where), 1)
        ]

        def make(places: list[int]) -> Batch:
            chosen = [rows[place] for place in places]
            inputs, lengths = self.reader.batch([Features(row[:-1]) for row in chosen])
            return Batch(inputs, lengths, padded([row[1:] for row in chosen]))

        return RaggedBatches([len(row) - 1 for row in rows], make, size, seed=seed)

    def outcome_of(self, model: Tagger, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        def outcome(batch: Batch) -> BatchStatistics:
            answers = model(batch.inputs, batch.lengths)
            steps = int(batch.lengths.sum())
            nats, squares = self._losses(answers, batch.targets, batch.lengths)
            return BatchStatistics(nats, steps, squares, steps * batch.targets.shape[2])

        return outcome

    def scores(
        self, model: nn.Module, examples: Sequence[NumericSequence], where: str, folder: Path | None = None
    ) -> dict[str, float]:
        """``loss`` in nats per step; for real features errors in their own units, beside those of the step before."""
        assert isinstance(model, Tagger)
        total = BatchStatistics(torch.zeros(()), 0, 0, 0)
        absolute = squared = absolute_before = 0.0
        with torch.no_grad():
            for batch in tracked(
                self.batches(examples, where, BATCH), "scoring", "steps", size=lambda batch: batch.steps
            ):
                answers = model(batch.inputs, batch.lengths)
                nats, squares = self._losses(answers, batch.targets, batch.lengths)
                steps = int(batch.lengths.sum())
                total = total.plus(BatchStatistics(nats, steps, squares, steps * batch.targets.shape[2]))
                valid = length_mask(len(answers), batch.lengths)
                told, true, before = (
                    self.reader.scaling.unscaled(part)[valid] for part in (answers, batch.targets, batch.inputs[0])
                )
                absolute += float((told - true).abs().sum())
                squared += float((told - true).square().sum())
                absolute_before += float((before - true).abs().sum())
        scores: dict[str, float] = {"sequences": len(examples), "steps": int(total.predictions), "loss": total.loss}
        if self._binary:
            return {**scores, "nats_per_step": total.loss}
        count = total.chances
        return {
            **scores,
            "mae": absolute / count,
            "rmse": math.sqrt(squared / count),
            "baseline_mae": absolute_before / count,
        }

    def predict(self, model: nn.Module, sequences: Sequence[list[list[float]]]) -> list[NextStep]:
        found: list[NextStep] = []
        for steps in sequences:
            inputs, lengths = self.reader.batch([self.reader.read(steps)])
            with torch.no_grad():
                last = model(inputs, lengths)[-1, 0]
            values = last.sigmoid() if self._binary else self.reader.scaling.unscaled(last)
            found.append(NextStep(values.tolist()))
        return found

    @property
    def has_probabilities(self) -> bool:
        return False

    def rows(
        self, model: nn.Module, sequences: Iterable[list[list[float]]], *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        names = self.options.feature_columns
        for group in in_groups(sequences, BATCH):
            for (values,) in self.predict(model, group):
                yield dict(zip(names, values, strict=True)) if cells and names else {"values": values}

    def question(self, model: Tagger, x: Tensor, features: Sequence[str]) -> Question:
        if len(x) < 2:
            raise ValueError("one step has no next to learn from; at least 2 are needed")

        def told(x: Tensor) -> Tensor:
            last = model.read(x, torch.full(x.shape[1:2], len(x)))[-1].double()
            return last if self._binary else self.reader.scaling.unscaled(last)

        def loss(x: Tensor) -> Tensor:
            lengths = torch.tensor([len(x) - 1])
            return self._losses(model.read(x[:-1], lengths), x[1:], lengths)[0] / lengths.sum()

        with torch.no_grad():
            values = told(x)[0]
        if self._binary:
            return Question(list(features), False, "probability", values.sigmoid().tolist(), told, loss)
        return Question(list(features), False, "value", values.tolist(), told, loss)

    def _losses(self, answers: Tensor, targets: Tensor, lengths: Tensor) -> tuple[Tensor, float]:
        valid = length_mask(len(answers), lengths)
        answers, targets = answers[valid], targets[valid].to(answers)
        squares = (answers - targets).square()
        if self._binary:
            nats = functional.binary_cross_entropy_with_logits(answers, targets, reduction="sum")
        else:
            nats = squares.sum() / 2
        return nats, float(squares.detach().sum())

    def _checked(self, row: Tensor, where: str) -> Tensor:
        if len(row) < 2:
            raise ValueError(f"{where}: one step has no next; leave it out")
        if self._binary and not ((row == 0) | (row == 1)).all():
            raise ValueError(f"{where}: expected features of 0 and 1; leave values at real for others")
        return row
