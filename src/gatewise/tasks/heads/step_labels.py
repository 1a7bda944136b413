"""A label for each step of a sequence, of tokens or of numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.labels import MostFrequent
from gatewise.data.row_store import Field
from gatewise.data.streams import NO_TARGET
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.heads.head import BATCH, Encoded, Head
from gatewise.tasks.heads.label import LabelHead, balanced
from gatewise.tasks.heads.sequence_head import ScoredPart
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.rows import Reader, Row, steps_of
from gatewise.tasks.unknown_labels import check_labels, known_cross_entropy


class LabelledSteps(NamedTuple):
    """The predicted label of each step of a sequence, and the probability of every label at each."""

    labels: list[str]
    probabilities: list[dict[str, float]]


class StepHead(Head):
    """One of K labels for each step; targets are rows of labels. The baseline is the most frequent label.

    Attributes:
        tags: the K labels.

    Args:
        tags: the K labels.
        baseline: the most frequent one.
        weights: of labels in the loss.
    """

    measure = "accuracy"
    loss_unit = "nats/step"
    label: ClassVar[str] = "label"

    def __init__(
        self, tags: TagSet, baseline: MostFrequent | None, weights: Literal["none", "balanced"] = "none"
    ) -> None:
        self.tags = tags
        self._baseline = baseline
        self._weights = weights

    @classmethod
    def learn(cls, options: Any, targets: Sequence[Sequence[str]]) -> Self:
        tags = TagSet.learn(targets, "none")
        baseline = MostFrequent.learn((0, tags.labels.number(label)) for labels in targets for label in labels)
        return cls(tags, baseline, options.class_weights)

    @classmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        return cls(parts["tags"], parts["baseline"], options.class_weights)

    @property
    def parts(self) -> dict[str, Any]:
        return {"tags": self.tags, "baseline": self._baseline}

    @property
    def target_parts(self) -> dict[str, Any]:
        return {"tags": self.tags}

    def check(self, part: str, targets: Sequence[Sequence[str]]) -> None:
        check_labels(part, chain.from_iterable(targets), self.tags.labels, self.label, self.tags.knows)

    def encoder(self, targets: Sequence[Sequence[str]]) -> tuple[Field, Callable[[Sequence[str]], Tensor]]:
        tags = self.tags.including(targets)
        return Field(np.min_scalar_type(tags.labels.size - 1)), tags.numbers

    @property
    def size(self) -> int:
        return self.tags.labels.size

    def _batch(self, data: Encoded[Any], indices: Sequence[int]) -> Batch:
        return Batch(*data.inputs(indices), padded([data.values[index] for index in indices], NO_TARGET))

    def statistics_of(
        self, model: Tagger, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        weights = None
        if self._weights == "balanced":
            numbers = np.concatenate([row.numpy() for row in training.values])
            weights = balanced(numbers, self.size)
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

    def scores(self, model: Tagger, data: Encoded[Any], plot: Path | None = None) -> dict[str, Any]:
        """The number of ``steps``, and the scores of their labels as of `LabelHead`."""
        assert self._baseline is not None
        names = self.tags.including(data.targets).labels.names

        def scored_parts() -> Iterator[ScoredPart]:
            for batch in tracked(self.batches(data, BATCH), "scoring", "steps", size=lambda batch: batch.steps):
                with torch.no_grad():
                    scores = model(batch.inputs, batch.lengths)
                valid = length_mask(len(scores), batch.lengths)
                yield scores[valid], [names[number] for number in batch.targets[valid].tolist()]

        found = LabelHead(self.tags.labels, self._baseline).scores_of(scored_parts(), plot)
        return {"steps": int(steps_of(data.rows).sum()), **found}

    def predicted(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[list[str]]:
        """The best labels of each sequence."""
        return [self.tags.names(found.tolist()) for found in of_sequences(model, reader, rows, model.decode)]

    def probabilities(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[Tensor]:
        """The probability of each label at each step of each sequence, (T, K) float64."""

        def read_out(scores: Tensor, lengths: Tensor) -> Tensor:
            return model.log_probabilities(scores.double(), lengths).exp()

        return of_sequences(model, reader, rows, read_out)

    def predict(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[LabelledSteps]:
        names = self.tags.labels.names
        return [
            LabelledSteps(
                self.tags.names(found.argmax(1).tolist()),
                [dict(zip(names, row, strict=True)) for row in found.tolist()],
            )
            for found in self.probabilities(model, reader, rows)
        ]

    def output_rows(
        self, found: LabelledSteps, number: int, *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        if not cells:
            yield {"labels": found.labels, **({"probabilities": found.probabilities} if probabilities else {})}
            return
        for step, (label, of_step) in enumerate(zip(*found, strict=True), 1):
            more = {"probabilities": of_step} if probabilities else {}
            yield {"sequence": number, "step": step, "label": label, **more}

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


def of_sequences(
    model: Tagger,
    reader: Reader,
    rows: Sequence[Row],
    read_out: Callable[[Tensor, Tensor], Tensor],
    what: tuple[str, str] = ("tagging", "sentences"),
) -> list[Tensor]:
    """What is read out for each sequence.

    Args:
        model: the model.
        reader: makes its inputs.
        rows: the sequences.
        read_out: (T or 1, B, ...) of scores (T, B, K) and lengths (B,).
        what: what is done with what, for the progress bar.
    """
    found = [torch.empty(0)] * len(rows)
    with torch.no_grad():
        for indices in tracked(RaggedBatches(steps_of(rows), list, BATCH), *what, size=len):
            inputs, lengths = reader.batch([rows[index] for index in indices])
            predicted = read_out(model(inputs, lengths), lengths)
            for column, (index, length) in enumerate(zip(indices, lengths.tolist(), strict=True)):
                found[index] = predicted[:length, column]
    return found
