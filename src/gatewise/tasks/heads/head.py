"""What a network predicts of a sequence: the interface of labels, tags, numbers and the next step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.mapped import Mapped
from gatewise.data.row_store import Field
from gatewise.models.classifier import Classifier
from gatewise.models.tagger import Tagger
from gatewise.tasks.attribution import AttributionTarget
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.rows import Reader, Row, steps_of

Rows = TypeVar("Rows", bound=Sequence[Row], covariant=True)

BATCH = 64
"""Sequences of a batch when a trained model is used."""

PART = 1024
"""Sequences that are read, sorted by length and scored at a time."""


class Encoded(NamedTuple, Generic[Rows]):
    """N examples as a network reads them.

    Attributes:
        reader: makes the inputs of batches.
        rows: the sequences.
        targets: the target of each, as the data has it.
        values: the same as numbers, (N, ...).
    """

    reader: Any
    rows: Rows
    targets: Sequence[Any]
    values: Any

    def part(self, chosen: slice) -> "Encoded[Any]":
        """Some of the examples."""
        return Encoded(self.reader, self.rows[chosen], self.targets[chosen], self.values[chosen])

    def inputs(self, indices: Sequence[int]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of some of the sequences, and their lengths (B,)."""
        return self.reader.batch([self.rows[index] for index in indices])


class Head(ABC):
    """What is predicted in one run: the last layer, the loss and the scores.

    Attributes:
        measure: the score that decides which weights are kept.
        loss_unit: the unit of the loss.
        by_loss: whether the least loss decides.
        has_probabilities: whether there is a probability for every label.
        scoring_passes: how often data to be scored is read.
    """

    measure: str
    loss_unit: str
    by_loss: bool = False
    has_probabilities: bool = True
    scoring_passes: int = 1

    @classmethod
    @abstractmethod
    def learn(cls, options: Any, targets: Sequence[Any]) -> Self:
        """The head that the options describe, with what it takes from the targets of the training data.

        Raises:
            ValueError: when these cannot be learned.
        """

    @classmethod
    @abstractmethod
    def from_parts(cls, options: Any, parts: Mapping[str, Any]) -> Self:
        """The head of a run folder."""

    @property
    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""

    @property
    def target_parts(self) -> dict[str, Any]:
        """The parts that the numbers of targets depend on."""
        return self.parts

    def learn_baseline(self, training: Encoded[Any]) -> None:  # noqa: B027
        """Learn a baseline that depends on what is read too."""

    @abstractmethod
    def check(self, part: str, targets: Sequence[Any]) -> None:
        """Check that a part of the data can be scored, and warn of labels that the training data does not have.

        Args:
            part: its name.
            targets: the targets of its examples.

        Raises:
            ValueError: when a target is malformed, or none is known.
        """

    @abstractmethod
    def encoder(self, targets: Sequence[Any]) -> tuple[Field, Callable[[Any], Any]]:
        """Converts targets to numbers.

        Args:
            targets: those of all examples.

        Returns:
            the form of a target, and the function that converts one.
        """

    def values(self, targets: Sequence[Any]) -> Sequence[Any]:
        """Targets as numbers, which are computed when they are read."""
        _, encode = self.encoder(targets)
        return Mapped(targets, encode)

    def make_model(self, reader: Reader, options: Any) -> Any:
        """The model, with its initial weights.

        Args:
            reader: has the layers below the head.
            options: the options of the run.
        """
        return initialised(self._network(reader, options), options)

    @property
    @abstractmethod
    def size(self) -> int:
        """K, the number of scores of a sequence, or of each step."""

    def _network(self, reader: Reader, options: Any) -> Classifier | Tagger:
        """The network of the reader's layers and a last one; by default with scores at each step."""
        steps = reader.first_layer(options)
        return Tagger(steps, reader.encoder(options, steps), self.size)

    def batches(self, data: Encoded[Any], size: int, seed: int | None = None) -> RaggedBatches:
        """Sequences with their targets in batches; shuffled if there is a seed."""
        return RaggedBatches(self._lengths(data), lambda indices: self._batch(data, indices), size, seed=seed)

    def _lengths(self, data: Encoded[Any]) -> NDArray[np.int64]:
        """The steps of each sequence in a batch, (N,)."""
        return steps_of(data.rows)

    @abstractmethod
    def _batch(self, data: Encoded[Any], indices: Sequence[int]) -> Batch:
        """The batch of some of the sequences."""

    @abstractmethod
    def statistics_of(
        self, model: Any, training: Encoded[Any], deciding: Encoded[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        """Computes the loss of a batch, and the counts of the measure.

        Args:
            model: the model.
            training: the training data; labels may be weighted by how often they occur there.
            deciding: the data whose score decides.
        """

    @abstractmethod
    def scores(self, model: Any, data: Encoded[Any], plot: Path | None = None) -> dict[str, Any]:
        """The scores of a trained model.

        Args:
            model: the model.
            data: the data.
            plot: the file of a plot of the confusion matrix, for heads that have one; None for no plot.
        """

    @abstractmethod
    def predict(self, model: Any, reader: Reader, rows: Sequence[Row]) -> list[Any]:
        """The prediction of a trained model for each sequence."""

    @abstractmethod
    def output_rows(self, found: Any, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        """The output rows of a prediction.

        Args:
            found: the prediction; None for a text without a word.
            number: the number of the sequence, from 1.
            probabilities: whether the probability of every label is written.
            cells: whether rows are those of a table, where each step may have its own; otherwise there is one row.
        """

    @abstractmethod
    def attribution_target(self, model: Any, reader: Any, x: Tensor, names: Sequence[str]) -> AttributionTarget:
        """What `inspect` attributes to the steps of a sequence.

        Args:
            model: the model.
            reader: reads sequences.
            x: the steps (T, 1, I) as the encoder reads them.
            names: the names of the features of a step; none where steps are tokens.

        Raises:
            ValueError: when there are too few steps.
        """
