"""A label or a number for each sequence of numbers, as for texts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import logits_in_parts, logits_of, make_batches
from gatewise.tasks.classification.number import NumberTarget
from gatewise.tasks.classification.one_label import OneLabel
from gatewise.tasks.classification.target import Target
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.head import BATCH, Head
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader


class SequenceHead(Head):
    """One target for a sequence; in a table every row of a sequence has the same."""

    def __init__(self, options: NumericOptions, reader: FeatureReader, target: Target) -> None:
        super().__init__(options, reader)
        self._target = target
        self.measure = Measure(target.measure, "steps", target.loss_unit, by_loss=target.by_loss)
        self.has_probabilities = target.has_probabilities

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """The labels, or the scaling of the numbers, of the training data."""
        written = labels_of(examples, "the data")
        number = options.predict == "number"
        return cls(
            options, reader, NumberTarget.learn(written) if number else OneLabel.learn(options.class_weights, written)
        )

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        number = options.predict == "number"
        return cls(
            options,
            reader,
            NumberTarget.from_parts(parts) if number else OneLabel.from_parts(options.class_weights, parts),
        )

    @property
    def parts(self) -> dict[str, Any]:
        return self._target.parts

    def make_model(self) -> Classifier:
        steps, encoder = self.reader.embedding(), self.make_encoder()
        return initialised(Classifier(steps, encoder, self.options.pooling, self._target.size), self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        self._target.check(where, labels_of(examples, where))

    def batches(self, examples: Sequence[NumericSequence], size: int, seed: int | None = None) -> RaggedBatches:
        return make_batches(self.reader, examples, self._target.numbers(labels_of(examples)), size, seed)

    def statistics_of(
        self, model: Classifier, training: Sequence[NumericSequence]
    ) -> Callable[[Batch], BatchStatistics]:
        return self._target.outcome_of(model, self._target.numbers(labels_of(training)))

    def scores(self, model: Any, examples: Sequence[NumericSequence], plot: Path | None = None) -> dict[str, Any]:
        written = labels_of(examples)
        parts = logits_in_parts(model, self.reader, examples, BATCH)
        scored = ((logits, written[place]) for place, logits in parts)
        return {"sequences": len(examples), **self._target.scores(scored, plot)}

    def question(self, model: Any, x: Tensor, names: Sequence[str]) -> Question:
        with torch.no_grad():
            return self._target.question(model.read(x, torch.tensor([len(x)])))

    def predict(self, model: Any, examples: Sequence[NumericSequence]) -> list[Any]:
        return self._target.predictions(logits_of(model, self.reader, examples, BATCH))

    def rows(self, found: Any, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        yield dict(self._target.row(found, probabilities=probabilities))


def labels_of(examples: Sequence[NumericSequence], where: str = "the data") -> list[str]:
    """The label of each sequence.

    Raises:
        ValueError: for a sequence that has none, or several.
    """
    found: list[str] = []
    for number, example in enumerate(examples, 1):
        different = sorted(example.classes)
        if len(different) != 1:
            raise ValueError(
                f"{where.replace('_', ' ')}: sequence {number}: expected one label for the sequence, got "
                f"{', '.join(different) or 'none'}; name its column with --label-column, or give --predict steps"
            )
        found += different
    return found
