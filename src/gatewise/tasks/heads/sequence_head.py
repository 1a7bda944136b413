"""One target for a whole sequence, of tokens or of numbers: a label, several labels or a number."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.row_tensors import values_at
from gatewise.models.classifier import Classifier
from gatewise.progress import Progress
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.heads.head import BATCH, PART, Encoded, Head
from gatewise.tasks.rows import Reader, Row, steps_of

ScoredPart = tuple[Tensor, Sequence[str]]
"""The scores (N, K) of N sequences, and their targets."""


class SequenceHead(Head):
    """K scores for a sequence, read from the pooled outputs of the encoder; targets are texts, as the data has them."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What there is to predict, for people."""

    def _network(self, reader: Reader, options: Any) -> Classifier:
        steps = reader.first_layer(options)
        return Classifier(steps, reader.encoder(options, steps), options.pooling, self.size)

    def _batch(self, data: Encoded[Any], indices: Sequence[int]) -> Batch:
        return Batch(*data.inputs(indices), values_at(data.values, indices))

    def logits(self, model: Classifier, reader: Reader, rows: Sequence[Row]) -> Iterator[tuple[slice, Tensor]]:
        """The scores (N, K) before the softmax of N sequences at a time: which sequences, and their scores."""
        with Progress("labelling", "texts", len(rows)) as progress:
            for start in range(0, len(rows), PART):
                some = rows[start : start + PART]
                found = torch.empty(len(some), self.size)
                for indices in RaggedBatches(steps_of(some), list, BATCH):
                    inputs, lengths = reader.batch([some[index] for index in indices])
                    with torch.no_grad():
                        found[indices] = model(inputs, lengths).float().cpu()
                    progress.advance(len(indices), len(indices))
                yield slice(start, start + len(some)), found

    def scored_parts(self, model: Classifier, data: Encoded[Any]) -> Iterator[ScoredPart]:
        """The scores and targets of some sequences at a time."""
        for part, logits in self.logits(model, data.reader, data.rows):
            yield logits, data.targets[part]

    def scores(self, model: Classifier, data: Encoded[Any], plot: Path | None = None) -> dict[str, Any]:
        return self.scores_of(self.scored_parts(model, data), plot)

    @abstractmethod
    def scores_of(self, parts: Iterable[ScoredPart], plot: Path | None = None) -> dict[str, Any]:
        """The scores of sequences that come in parts, of which sums alone are kept.

        Args:
            parts: the parts.
            plot: see `scores`.
        """

    def predict(self, model: Classifier, reader: Reader, rows: Sequence[Row]) -> list[Any]:
        return [one for _, logits in self.logits(model, reader, rows) for one in self.predictions(logits)]

    @abstractmethod
    def predictions(self, logits: Tensor) -> list[Any]:
        """The predictions for scores (N, K)."""

    @abstractmethod
    def row(self, found: Any, *, probabilities: bool) -> dict[str, Any]:
        """The output row of one of `predictions`; None for a text without words."""

    def output_rows(self, found: Any, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        yield self.row(found, probabilities=probabilities)

    def attribution_target(self, model: Classifier, reader: Any, x: Tensor, names: Sequence[str]) -> AttributionTarget:
        with torch.no_grad():
            return self.attribution_target_of(model.read(x, torch.tensor([len(x)])))

    @abstractmethod
    def attribution_target_of(self, logits: Tensor) -> AttributionTarget:
        """What `inspect` attributes to the steps of a sequence with scores (1, K)."""
