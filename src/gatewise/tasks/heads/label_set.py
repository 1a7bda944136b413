"""Several labels for a text, or none: each is predicted alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.batches import Batch
from gatewise.data.labels import Labels
from gatewise.data.row_store import Field
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.class_scores import NameCounts, as_numbers
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.heads.sequence_head import ScoredPart, SequenceHead
from gatewise.tasks.unknown_labels import check_labels


class LabelSet(NamedTuple):
    """The predicted labels of a text.

    Attributes:
        labels: those with a probability of a half or more.
        probabilities: that of every label.
    """

    labels: list[str]
    probabilities: dict[str, float]


def split_labels(written: str, separator: str) -> list[str]:
    """The labels in a cell, each once.

    >>> split_labels("war, peace,war", ","), split_labels(" ", ",")
    (['war', 'peace'], [])
    """
    return list(dict.fromkeys(filter(None, (one.strip() for one in written.split(separator)))))


class LabelSetHead(SequenceHead):
    """Of K labels those that a text has: a sigmoid for each, and the sum of their cross entropies.

    Args:
        labels: all of the training data.
        separator: the separator of labels in the data.
        most_frequent: the label that most texts have.
    """

    measure = "micro_f1"
    loss_unit = "nats/label"

    def __init__(self, labels: Labels, separator: str, most_frequent: str) -> None:
        self._labels = labels
        self._separator = separator
        self._most_frequent = most_frequent

    @classmethod
    def learn(cls, options: Any, targets: Sequence[str]) -> Self:
        separator = options.label_separator
        counts = Counter(label for one in targets for label in split_labels(one, separator))
        if not counts:
            raise ValueError("the data to learn from has no label; is it the right column?")
        return cls(Labels.learn(counts), separator, min(counts, key=lambda name: (-counts[name], name)))

    @classmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        return cls(parts["labels"], options.label_separator, parts["most_frequent"].names[0])

    @property
    def size(self) -> int:
        return self._labels.size

    @property
    def parts(self) -> dict[str, Any]:
        return {"labels": self._labels, "most_frequent": Labels([self._most_frequent])}

    @property
    def summary(self) -> str:
        return f"labels: {self.size}, any number of them for a text, the most frequent {self._most_frequent}"

    def check(self, part: str, targets: Sequence[str]) -> None:
        check_labels(part, self._all(targets), self._labels)

    def encoder(self, targets: Iterable[str]) -> tuple[Field, Callable[[str], list[int]]]:
        labels = self._labels.including(self._all(targets))

        def encode(one: str) -> list[int]:
            row = [0] * labels.size
            for label in self._split(one):
                row[labels.number(label)] = 1
            return row

        return Field("uint8", (labels.size,), ragged=False), encode

    def statistics_of(
        self, model: Classifier, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        def statistics(batch: Batch) -> BatchStatistics:
            logits = model(batch.inputs, batch.lengths)
            known = batch.targets[:, : self.size].to(logits)
            loss_sum = functional.binary_cross_entropy_with_logits(logits, known, reduction="sum")
            predicted = logits.detach() >= 0
            correct = int((predicted & (known > 0)).sum())
            # Labels that are unknown in training are never predicted.
            return BatchStatistics(
                loss_sum, known.numel(), 2 * correct, int(predicted.sum()) + int(batch.targets.sum())
            )

        return statistics

    def scores_of(self, parts: Iterable[ScoredPart], plot: Path | None = None) -> dict[str, Any]:
        ours, of_baseline = NameCounts(), NameCounts()
        unknown, loss_sum, predictions, exact, texts = 0, 0.0, 0, 0, 0
        for logits, targets in parts:
            truth = [self._split(one) for one in targets]
            for found, true in zip(self.predictions(logits), truth, strict=True):
                correct = set(found.labels) & set(true)
                ours.add(correct=correct, predicted=found.labels, support=true)
                baseline = [self._most_frequent]
                of_baseline.add(correct=set(baseline) & set(true), predicted=baseline, support=true)
                exact += len(correct) == len(found.labels) == len(true)
            texts += len(truth)
            known = torch.tensor([[name in row for name in self._labels.names] for row in truth], dtype=torch.float64)
            loss_sum += float(functional.binary_cross_entropy_with_logits(logits.double(), known, reduction="sum"))
            predictions += known.numel()
            unknown += sum(label not in self._labels for row in truth for label in row)
        per_label = ours.scores
        return {
            "unknown_labels": unknown,
            "loss": loss_sum / predictions,
            "micro_f1": ours.total.f1,
            "macro_f1": sum(score.f1 for score in per_label.values()) / max(len(per_label), 1),
            "exact_match": exact / texts,
            "per_label": as_numbers(per_label),
            "baseline_micro_f1": of_baseline.total.f1,
        }

    def predictions(self, logits: Tensor) -> list[LabelSet]:
        found: list[LabelSet] = []
        for row in logits.double().sigmoid().tolist():
            values = dict(zip(self._labels.names, row, strict=True))
            found.append(LabelSet([name for name, value in values.items() if value >= 0.5], values))
        return found

    def row(self, found: LabelSet | None, *, probabilities: bool) -> dict[str, Any]:
        labels = None if found is None else self._separator.join(found.labels)
        values = dict.fromkeys(self._labels.names) if found is None else found.probabilities
        return {"labels": labels, **({"probabilities": values} if probabilities else {})}

    def attribution_target_of(self, logits: Tensor) -> AttributionTarget:
        chosen = (logits[0] >= 0).nonzero().flatten().tolist() or [int(logits[0].argmax())]

        def log_probabilities(scores: Tensor) -> Tensor:
            return functional.logsigmoid(scores.double()[:, chosen])

        return AttributionTarget([self._labels.names[number] for number in chosen], log_probabilities)

    def _split(self, written: str) -> list[str]:
        return split_labels(written, self._separator)

    def _all(self, written: Iterable[str]) -> Iterator[str]:
        return (label for one in written for label in self._split(one))
