"""A number for each sequence of numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.numeric_sequences import NumericSequence
from gatewise.models.classifier import Classifier
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import logits_of, make_batches
from gatewise.tasks.classification.number import Number, NumberTarget
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.inspection import Question
from gatewise.tasks.numeric.objective import BATCH, Goal
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.numeric.sequence_label import labels_of
from gatewise.tasks.prediction_io import in_groups


class SequenceNumber(Goal):
    """A number for a sequence (regression); in a table every row of a sequence has the same."""

    measure = Measure(NumberTarget.measure, "steps", NumberTarget.loss_unit, by_loss=NumberTarget.by_loss)

    def __init__(self, options: NumericOptions, reader: FeatureReader, target: NumberTarget) -> None:
        super().__init__(options, reader)
        self._target = target

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """The scaling of the numbers of the training data."""
        return cls(options, reader, NumberTarget.learn(labels_of(examples, "the data")))

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader, NumberTarget.from_parts(parts))

    @property
    def parts(self) -> dict[str, Any]:
        return self._target.parts

    def make_model(self) -> Classifier:
        return initialised(Classifier(nn.Identity(), self.make_encoder(), self.options.pooling, 1), self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        self._target.check(where, labels_of(examples, where))
        super().check(examples, where)

    def batches(
        self, examples: Sequence[NumericSequence], where: str, size: int, seed: int | None = None
    ) -> RaggedBatches:
        targets = self._target.numbers(labels_of(examples, where))
        return make_batches(self.reader, self.read(examples, where), targets, size, seed)

    def outcome_of(self, model: Classifier, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        return self._target.outcome_of(model, [])

    def scores(
        self, model: nn.Module, examples: Sequence[NumericSequence], where: str, folder: Path | None = None
    ) -> dict[str, Any]:
        assert isinstance(model, Classifier)
        logits = logits_of(model, self.reader, self.read(examples, where), BATCH)
        return {"sequences": len(examples), **self._target.scores(logits, labels_of(examples, where))}

    @property
    def has_probabilities(self) -> bool:
        return False

    def predict(self, model: nn.Module, sequences: Sequence[list[list[float]]]) -> list[Number]:
        assert isinstance(model, Classifier)
        rows = [self.reader.read(steps) for steps in sequences]
        return self._target.told(logits_of(model, self.reader, rows, BATCH))

    def rows(
        self, model: nn.Module, sequences: Iterable[list[list[float]]], *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        for group in in_groups(sequences, BATCH):
            for found in self.predict(model, group):
                yield dict(self._target.row(found, probabilities=False))

    def question(self, model: Classifier, x: Tensor, features: Sequence[str]) -> Question:
        def told(x: Tensor) -> Tensor:
            return self._target.unscaled(model.read(x, torch.full(x.shape[1:2], len(x))))

        with torch.no_grad():
            value = float(told(x))
        return Question([self.options.label_column], False, "value", [value], told, lambda x: told(x).sum())
