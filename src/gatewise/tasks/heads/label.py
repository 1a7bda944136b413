"""One label for a sequence."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.row_store import Field
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.confusion import scores_of_counts
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.heads.sequence_head import ScoredPart, SequenceHead
from gatewise.tasks.unknown_labels import check_labels, known_cross_entropy


class Prediction(NamedTuple):
    """The predicted label of a sequence.

    Attributes:
        label: the most probable label.
        probability: its probability.
        probabilities: that of every label.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class LabelHead(SequenceHead):
    """One of K labels: a softmax over them. Labels that are unknown in training are never predicted.

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
    def learn(cls, options: Any, targets: Sequence[str]) -> Self:
        labels = Labels.learn(targets)
        labels.check_several()
        baseline = MostFrequent.learn((0, labels.number(label)) for label in targets)
        return cls(labels, baseline, options.class_weights)

    @classmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        return cls(parts["labels"], parts["baseline"], options.class_weights)

    @property
    def size(self) -> int:
        return self.labels.size

    @property
    def parts(self) -> dict[str, Any]:
        return {"labels": self.labels, "baseline": self._baseline}

    @property
    def summary(self) -> str:
        return f"classes: {self.size}, the most frequent {self.labels.names[self._baseline.overall]}"

    def check(self, part: str, targets: Sequence[str]) -> None:
        check_labels(part, targets, self.labels)

    def encoder(self, targets: Iterable[str]) -> tuple[Field, Callable[[str], int]]:
        return Field("int64", ragged=False), self.labels.including(targets).number

    def statistics_of(
        self, model: Classifier, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        weights = balanced(training.values, self.size) if self._weights == "balanced" else None

        def statistics(batch: Batch) -> BatchStatistics:
            logits = model(batch.inputs, batch.lengths)
            weight = None if weights is None else weights.to(logits)
            loss_sum, total = known_cross_entropy(logits, batch.targets, weight)
            correct = int((logits.argmax(1) == batch.targets).sum())
            return BatchStatistics(loss_sum, total, correct, len(batch.targets))

        return statistics

    def confusion(self, parts: Iterable[ScoredPart]) -> Tensor:
        """(L, L): how many sequences of label i are predicted as label j; unknown labels are the last."""
        return self._counts(parts)[1]

    def scores_of(self, parts: Iterable[ScoredPart], plot: Path | None = None) -> dict[str, Any]:
        names, counts, loss_sum, known = self._counts(parts)
        if plot is not None:
            plot_confusion(counts, names, plot)
        return scores_of_counts(counts, names, loss_sum, known, self._baseline.overall)

    def _counts(self, parts: Iterable[ScoredPart]) -> tuple[list[str], Tensor, float, int]:
        """The names of labels, the confusion matrix, the sum of the loss of known labels, and their number."""
        pairs = Counter[tuple[str, int]]()
        loss_sum, known = 0.0, 0
        for logits, targets in parts:
            numbers = [self.labels.number(label) if label in self.labels else self.size for label in targets]
            of_part, of_known = known_cross_entropy(logits.double(), torch.tensor(numbers, dtype=torch.int64))
            loss_sum, known = loss_sum + float(of_part), known + int(of_known)
            pairs.update(zip(targets, logits.argmax(1).tolist(), strict=True))
        labels = self.labels.including(label for label, _ in pairs)
        counts = torch.zeros(labels.size, labels.size, dtype=torch.int64)
        for (label, predicted), count in pairs.items():
            counts[labels.number(label), predicted] = count
        return labels.names, counts, loss_sum, known

    def predictions(self, logits: Tensor) -> list[Prediction]:
        found: list[Prediction] = []
        for row in logits.softmax(-1).tolist():
            values = dict(zip(self.labels.names, row, strict=True))
            best = max(values, key=values.__getitem__)
            found.append(Prediction(best, values[best], values))
        return found

    def row(self, found: Prediction | None, *, probabilities: bool) -> dict[str, Any]:
        values = dict.fromkeys(self.labels.names) if found is None else found.probabilities
        return {
            "label": None if found is None else found.label,
            "probability": None if found is None else found.probability,
            **({"probabilities": values} if probabilities else {}),
        }

    def attribution_target_of(self, logits: Tensor) -> AttributionTarget:
        best = int(logits[0].argmax())
        return AttributionTarget(
            [self.labels.names[best]], lambda scores: scores.double().log_softmax(-1)[:, best : best + 1]
        )


def balanced(numbers: Sequence[int] | NDArray[np.int64], class_count: int) -> Tensor:
    """Weights (K,) of classes in inverse proportion to how often they occur, 1 on average over the examples.

    >>> balanced([0, 0, 0, 1], 2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.from_numpy(np.bincount(numbers, minlength=class_count)).clamp(min=1)
    return len(numbers) / class_count / counts
