"""A label for each sequence of numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.numeric_sequences import NumericSequence
from gatewise.models.classifier import Classifier
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import balanced, logits_of, make_batches, outcome_of
from gatewise.tasks.classification.predictions import Prediction, prediction_row, predictions
from gatewise.tasks.classification.scores import label_scores
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.inspection import log_odds
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.inspection import Question, log_probabilities
from gatewise.tasks.numeric.objective import BATCH, Goal
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.prediction_io import in_groups
from gatewise.tasks.unknown_labels import check_labels


class SequenceLabel(Goal):
    """One of K labels for a sequence; in a table every row of a sequence has the same."""

    measure = Measure("accuracy", "steps", "nats/sequence")

    def __init__(self, options: NumericOptions, reader: FeatureReader, labels: Labels, baseline: MostFrequent) -> None:
        super().__init__(options, reader)
        self._labels = labels
        self._baseline = baseline

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """The labels of the training data."""
        names = labels_of(examples, "the data")
        labels = Labels.learn(names)
        labels.check_several()
        return cls(options, reader, labels, MostFrequent.learn((0, labels.number(name)) for name in names))

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader, parts["labels"], parts["baseline"])

    @property
    def parts(self) -> dict[str, Any]:
        return {"labels": self._labels, "baseline": self._baseline}

    def make_model(self) -> Classifier:
        model = Classifier(nn.Identity(), self.make_encoder(), self.options.pooling, self._labels.size)
        return initialised(model, self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        super().check(examples, where)
        check_labels(where, labels_of(examples, where), self._labels)

    def batches(
        self, examples: Sequence[NumericSequence], where: str, size: int, seed: int | None = None
    ) -> RaggedBatches:
        rows = self.read(examples, where)
        return make_batches(self.reader, rows, self._targets(examples, where)[1], size, seed)

    def outcome_of(self, model: Classifier, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        balance = self.options.class_weights == "balanced"
        weights = balanced(self._targets(training, "the data")[1], self._labels.size) if balance else None
        return outcome_of(model, weights)

    def scores(
        self, model: nn.Module, examples: Sequence[NumericSequence], where: str, folder: Path | None = None
    ) -> dict[str, Any]:
        assert isinstance(model, Classifier)
        logits = logits_of(model, self.reader, self.read(examples, where), BATCH)
        labels, targets = self._targets(examples, where)
        scores, confusion = label_scores(logits, torch.tensor(targets), labels.names)
        if folder is not None:
            plot_confusion(confusion, labels.names, folder / f"confusion_{where}.png")
        right = targets.count(self._baseline.overall)
        return {"sequences": len(examples), **scores, "baseline_accuracy": right / len(examples)}

    def predict(self, model: nn.Module, sequences: Sequence[list[list[float]]]) -> list[Prediction]:
        assert isinstance(model, Classifier)
        rows = [self.reader.read(steps) for steps in sequences]
        return predictions(logits_of(model, self.reader, rows, BATCH), self._labels)

    def rows(
        self, model: nn.Module, sequences: Iterable[list[list[float]]], *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        for group in in_groups(sequences, BATCH):
            for found in self.predict(model, group):
                yield prediction_row(found, self._labels, probabilities)

    def question(self, model: Classifier, x: Tensor, features: Sequence[str]) -> Question:
        with torch.no_grad():
            probabilities = log_probabilities(model, x)[0].exp()
        label = int(probabilities.argmax())
        return Question(
            [self._labels.names[label]],
            False,
            "probability",
            [float(probabilities[label])],
            lambda x: log_odds(log_probabilities(model, x)[:, label : label + 1]),
            lambda x: -log_probabilities(model, x)[0, label],
        )

    def _targets(self, examples: Sequence[NumericSequence], where: str) -> tuple[Labels, list[int]]:
        """The labels, with those that are unknown in training, and their numbers."""
        names = labels_of(examples, where)
        labels = self._labels.including(names)
        return labels, [labels.number(name) for name in names]


def labels_of(examples: Sequence[NumericSequence], where: str) -> list[str]:
    """The label of each sequence.

    Raises:
        ValueError: for a sequence that has none, or several.
    """
    found: list[str] = []
    for number, (_, labels) in enumerate(examples, 1):
        different = sorted(set(labels))
        if len(different) != 1:
            raise ValueError(
                f"{where.replace('_', ' ')}: sequence {number}: expected one label for the sequence, got "
                f"{', '.join(different) or 'none'}; name its column with --label-column, or give --predict steps"
            )
        found += different
    return found
