"""A label for each step of a sequence, of tokens or of numbers."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.mapped import Mapped
from gatewise.data.row_store import Field
from gatewise.data.streams import NO_TARGET
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.label import balanced
from gatewise.tasks.head import BATCH, Encoded, Head
from gatewise.tasks.rows import Reader, Row, steps_of
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.unknown_labels import check_labels, known_cross_entropy


class StepHead(Head):
    """Scores (T, K) of a sequence; targets are rows of labels, or what has some.

    Attributes:
        tags: the K labels.

    Args:
        tags: the K labels.
        weights: of labels in the loss.
    """

    measure = "accuracy"
    loss_unit = "nats/step"
    label: ClassVar[str] = "label"

    def __init__(self, tags: TagSet, weights: Literal["none", "balanced"] = "none") -> None:
        self.tags = tags
        self._weights = weights

    @property
    def parts(self) -> dict[str, Any]:
        return {"tags": self.tags}

    def check(self, part: str, targets: Sequence[Any]) -> None:
        labels = chain.from_iterable(map(self._labels_of, targets))
        check_labels(part, labels, self.tags.labels, self.label, self.tags.knows)

    def encoder(self, targets: Sequence[Any]) -> tuple[Field, Callable[[Any], Tensor]]:
        tags = self.tags.including(Mapped(targets, self._labels_of))
        return Field(np.min_scalar_type(tags.labels.size - 1)), lambda target: tags.numbers(self._labels_of(target))

    def _labels_of(self, target: Any) -> Sequence[str]:
        """The labels of a target."""
        return target

    def _network(self, reader: Reader, options: Any) -> Tagger:
        steps = reader.first_layer(options)
        return Tagger(steps, reader.encoder(options, steps), self.tags.labels.size)

    def _batch(self, data: Encoded[Any], indices: Sequence[int]) -> Batch:
        return Batch(*data.inputs(indices), padded([data.values[index] for index in indices], NO_TARGET))

    def statistics_of(
        self, model: Tagger, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        weights = None
        if self._weights == "balanced":
            numbers = np.concatenate([row.numpy() for row in training.values])
            weights = balanced(numbers, self.tags.labels.size)
        counts = self._counts(deciding.targets)

        def statistics(batch: Batch) -> BatchStatistics:
            scores = model(batch.inputs, batch.lengths)
            loss_sum, weight = loss_of(model, scores, batch, None if weights is None else weights.to(scores))
            return BatchStatistics(loss_sum, weight, *counts(model.decode(scores.detach(), batch.lengths), batch))

        return statistics

    def _counts(self, targets: Sequence[Sequence[str]]) -> Callable[[Tensor, Batch], tuple[float, float]]:
        """Counts numerator and denominator of the measure, for the labels (T, B) predicted for a batch.

        Args:
            targets: those of the data that decides, which may have labels that are unknown in training.
        """
        return lambda found, batch: (int((found == batch.targets).sum()), int(batch.lengths.sum()))

    def predicted(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[list[str]]:
        """The best labels of each sequence."""
        return [self.tags.names(found.tolist()) for found in _of_sequences(model, reader, rows, model.decode)]

    def probabilities(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[Tensor]:
        """The probability of each label at each step of each sequence, (T, K) float64."""

        def read_out(scores: Tensor, lengths: Tensor) -> Tensor:
            return model.log_probabilities(scores.double(), lengths).exp()

        return _of_sequences(model, reader, rows, read_out)

    def attribution_target(self, model: Tagger, reader: Any, x: Tensor, names: Sequence[str]) -> AttributionTarget:
        lengths = torch.tensor([len(x)])
        with torch.no_grad():
            numbers = model.decode(model.read(x, lengths), lengths)

        def read_out(scores: Tensor) -> Tensor:
            found = model.log_probabilities(scores.double(), lengths.expand(scores.shape[1]))
            return found.gather(2, numbers[..., None].expand(-1, scores.shape[1], 1))[..., 0].T

        def loss(x: Tensor) -> Tensor:
            total, count = loss_of(model, model.read(x, lengths), Batch((), lengths, numbers))
            return total / count

        return AttributionTarget(
            self.tags.written(self.tags.names(numbers[:, 0].tolist())), read_out, of_steps=True, loss=loss
        )


def loss_of(model: Tagger, scores: Tensor, batch: Batch, weights: Tensor | None = None) -> tuple[Tensor, float]:
    """The sum of the loss over all sequences: cross entropy, or minus the log-likelihood of whole sequences.

    Targets of K and more are labels that are unknown in training. They have no loss; with a conditional random field
    their whole sequence has none.

    Args:
        model: the model.
        scores: its scores (T, B, K) of the batch.
        batch: the sequences.
        weights: (K,), of labels in the cross entropy.

    Returns:
        the sum, and how many labels are in it, or the sum of their weights.
    """
    if model.transitions is None:
        return known_cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), weights)
    unknown = batch.targets >= scores.shape[2]
    known = ~unknown.any(0)
    targets = batch.targets.clamp(min=0).masked_fill(unknown, 0)
    likelihoods = model.transitions.log_likelihood(scores, targets, batch.lengths)
    return -likelihoods.where(known, 0).sum(), int(batch.lengths[known.to(batch.lengths.device)].sum())


def _of_sequences(
    model: Tagger, reader: Reader, rows: Sequence[Row], read_out: Callable[[Tensor, Tensor], Tensor]
) -> list[Tensor]:
    """Reads out the scores (T, B, K) and lengths (B,) of batches, (T, B, ...), by sequence."""
    found = [torch.empty(0)] * len(rows)
    with torch.no_grad():
        for indices in tracked(RaggedBatches(steps_of(rows), list, BATCH), "tagging", "sentences", size=len):
            inputs, lengths = reader.batch([rows[index] for index in indices])
            predicted = read_out(model(inputs, lengths), lengths)
            for column, (index, length) in enumerate(zip(indices, lengths.tolist(), strict=True)):
                found[index] = predicted[:length, column]
    return found
