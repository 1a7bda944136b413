"""The next step of a sequence of numbers, from those before it."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.head import BATCH, Head
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader


class NextStep(NamedTuple):
    """The features of the step that comes next: numbers, or the probabilities of 1."""

    values: list[float]


class NextHead(Head):
    """Every step but the first, from all before it; features that are missing there have no loss.

    Real features: the loss of a step is half the squared error of the scaled features, summed, which is the negative
    log-likelihood of unit variance up to a constant. Binary ones: the negative log-likelihood of independent features,
    summed over them, as polyphonic music is scored (Boulanger-Lewandowski et al. 2012, arXiv:1206.6392).
    """

    has_probabilities = False

    def __init__(self, options: NumericOptions, reader: FeatureReader) -> None:
        super().__init__(options, reader)
        if options.binary:
            self.measure = Measure("nats_per_step", "steps", "nats/step")
        else:
            scaled = "scaled " if options.scale else ""
            self.measure = Measure("mean_squared_error", "steps", f"{scaled}half squared error/step")

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """Nothing but what the reader has."""
        return cls(options, reader)

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader)

    @property
    def parts(self) -> dict[str, Any]:
        return {}

    def make_model(self) -> Tagger:
        steps, encoder = self.reader.embedding(), self.make_encoder()
        return initialised(Tagger(steps, encoder, self.reader.scaling.width), self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        for number, example in enumerate(examples, 1):
            position = f"{where.replace('_', ' ')}: sequence {number}"
            if example.length < 2:
                raise ValueError(f"{position}: expected at least 2 steps to predict the next from, got 1; leave it out")
            steps = example.steps
            if self.options.binary and not ((steps == 0) | (steps == 1) | (steps != steps)).all():
                raise ValueError(f"{position}: expected features of 0 and 1; leave values at real for others")

    def batches(self, examples: Sequence[NumericSequence], size: int, seed: int | None = None) -> RaggedBatches:
        def make(numbers: list[int]) -> Batch:
            rows = [examples[number] for number in numbers]
            inputs, lengths = self.reader.batch(rows)
            return Batch(tuple(one[:-1] for one in inputs), lengths - 1, self.reader.numbers(rows)[1:])

        return RaggedBatches([example.length - 1 for example in examples], make, size, seed=seed)

    def statistics_of(self, model: Tagger, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        return lambda batch: self._statistics(model(batch.inputs, batch.lengths), batch.targets, batch.lengths)

    def scores(self, model: Any, examples: Sequence[NumericSequence], plot: Path | None = None) -> dict[str, Any]:
        """``loss`` per step; for real features errors in their own units, beside those of the step before."""
        total = BatchStatistics.sum(())
        errors = torch.zeros(3, dtype=torch.float64)
        batches = self.batches(examples, BATCH)
        width = self.reader.scaling.width
        with torch.no_grad():
            for batch in tracked(batches, "scoring", "steps", size=lambda batch: batch.steps):
                found = model(batch.inputs, batch.lengths)
                total = total.plus(self._statistics(found, batch.targets, batch.lengths))
                valid = self._valid(batch.targets, batch.lengths)
                predicted, true, before = (
                    self.reader.scaling.unscaled(part)[valid]
                    for part in (found, batch.targets, batch.inputs[0][..., :width])
                )
                off = predicted - true
                errors += torch.stack((off.abs().sum(), off.square().sum(), (before - true).abs().sum()))
        scores = {"sequences": len(examples), "steps": int(total.predictions), "loss": total.loss}
        if self.options.binary:
            return {**scores, "nats_per_step": total.loss}
        mae, mse, baseline = (errors / max(total.denominator, 1)).tolist()
        return {**scores, "mae": mae, "rmse": math.sqrt(mse), "baseline_mae": baseline}

    def question(self, model: Any, x: Tensor, names: Sequence[str]) -> Question:
        if len(x) < 2:
            raise ValueError("the sequence has one step; at least 2 are needed to predict the next from")
        binary, width = self.options.binary, self.reader.scaling.width
        targets = x[1:, :, :width]

        def read_out(scores: Tensor) -> Tensor:
            last = scores[-1].double()
            return functional.logsigmoid(last) if binary else self.reader.scaling.unscaled(last)

        def loss(x: Tensor) -> Tensor:
            lengths = torch.tensor([len(x) - 1])
            return self._statistics(model.read(x[:-1], lengths), targets, lengths).loss_sum / lengths.sum()

        return Question(list(names), read_out, "probability" if binary else "value", loss=loss)

    def predict(self, model: Any, examples: Sequence[NumericSequence]) -> list[NextStep]:
        found = [NextStep([])] * len(examples)
        batches = RaggedBatches([example.length for example in examples], list, BATCH)
        with torch.no_grad():
            for numbers in tracked(batches, "predicting", "sequences", size=len):
                inputs, lengths = self.reader.batch([examples[number] for number in numbers])
                last = model(inputs, lengths)[lengths - 1, torch.arange(len(lengths))]
                values = last.sigmoid() if self.options.binary else self.reader.scaling.unscaled(last)
                for number, of_sequence in zip(numbers, values.tolist(), strict=True):
                    found[number] = NextStep(of_sequence)
        return found

    def rows(self, found: NextStep, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        names = self.options.feature_columns
        yield dict(zip(names, found.values, strict=True)) if cells and names else {"values": found.values}

    def _valid(self, targets: Tensor, lengths: Tensor) -> Tensor:
        """Which targets (T, B, I) there are."""
        return length_mask(len(targets), lengths)[..., None] & ~targets.isnan()

    def _statistics(self, found: Tensor, targets: Tensor, lengths: Tensor) -> BatchStatistics:
        """The loss of predictions (T, B, I) per step, and their squared errors."""
        valid = self._valid(targets, lengths)
        found, targets = found[valid], targets[valid].to(found)
        squares = (found - targets).square()
        if self.options.binary:
            loss = functional.binary_cross_entropy_with_logits(found, targets, reduction="sum")
        else:
            loss = squares.sum() / 2
        return BatchStatistics(loss, int(lengths.sum()), float(squares.detach().sum()), len(targets))
