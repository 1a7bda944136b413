"""One label for a text."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.row_store import Field
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import balanced, outcome_of
from gatewise.tasks.classification.predictions import Prediction, prediction_row, predictions
from gatewise.tasks.classification.scores import scores_of_counts
from gatewise.tasks.classification.target import Scored, Target
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.unknown_labels import check_labels, known_cross_entropy


class OneLabel(Target):
    """One of K labels: a softmax over them.

    Attributes:
        labels: those of the training data.

    Args:
        labels: those of the training data.
        baseline: the most frequent one.
        weights: of classes in the loss.
    """

    measure = "accuracy"
    loss_unit = "nats/example"

    def __init__(self, labels: Labels, baseline: MostFrequent, weights: Literal["none", "balanced"] = "none") -> None:
        self.labels = labels
        self._baseline = baseline
        self._weights = weights

    @classmethod
    def learn(cls, weights: Literal["none", "balanced"], written: Collection[str]) -> "OneLabel":
        """The labels of the training data.

        Raises:
            ValueError: when there is one only.
        """
        labels = Labels.learn(written)
        labels.check_several()
        return cls(labels, MostFrequent.learn((0, labels.number(label)) for label in written), weights)

    @classmethod
    def from_parts(cls, weights: Literal["none", "balanced"], parts: Mapping[str, Any]) -> "OneLabel":
        """That of a run folder."""
        return cls(parts["labels"], parts["baseline"], weights)

    @property
    def size(self) -> int:
        return self.labels.size

    @property
    def parts(self) -> dict[str, Any]:
        return {"labels": self.labels, "baseline": self._baseline}

    @property
    def summary(self) -> str:
        return f"classes: {self.size}, the most frequent {self.labels.names[self._baseline.overall]}"

    def check(self, part: str, written: Iterable[str]) -> None:
        check_labels(part, written, self.labels)

    def encoder(self, written: Iterable[str]) -> tuple[Field, Callable[[str], int]]:
        return Field("int64", ragged=False), self.labels.including(written).number

    def outcome_of(
        self, model: Classifier, training: Sequence[int] | NDArray[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        return outcome_of(model, balanced(training, self.size) if self._weights == "balanced" else None)

    def confusion(self, parts: Iterable[Scored]) -> tuple[dict[str, Any], Tensor, list[str]]:
        """The scores; (L, L), how many texts of label i were taken for label j; the names of these labels."""
        pairs = Counter[tuple[str, int]]()
        loss_sum, known = 0.0, 0
        for logits, written in parts:
            numbers = [self.labels.number(label) if label in self.labels else self.size for label in written]
            nats, of_known = known_cross_entropy(logits.double(), torch.tensor(numbers, dtype=torch.int64))
            loss_sum, known = loss_sum + float(nats), known + int(of_known)
            pairs.update(zip(written, logits.argmax(1).tolist(), strict=True))
        labels = self.labels.including(label for label, _ in pairs)
        counts = torch.zeros(labels.size, labels.size, dtype=torch.int64)
        for (label, answer), count in pairs.items():
            counts[labels.number(label), answer] = count
        baseline = int(counts[self._baseline.overall].sum()) / int(counts.sum())
        scores = scores_of_counts(counts, labels.names, loss_sum, known)
        return {**scores, "baseline_accuracy": baseline}, counts, labels.names

    def scores(self, parts: Iterable[Scored], plot: Path | None = None) -> dict[str, Any]:
        scores, counts, names = self.confusion(parts)
        if plot is not None:
            plot_confusion(counts, names, plot)
        return scores

    def predictions(self, logits: Tensor) -> list[Prediction]:
        return predictions(logits, self.labels)

    def row(self, found: Prediction | None, *, probabilities: bool) -> Mapping[str, Any]:
        return prediction_row(found, self.labels, probabilities)

    def question(self, logits: Tensor) -> Question:
        answer = int(logits[0].argmax())
        return Question(
            [self.labels.names[answer]],
            lambda scores: scores.double().log_softmax(-1)[:, answer : answer + 1],
        )
