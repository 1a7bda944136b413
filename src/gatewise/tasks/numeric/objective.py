"""What is to be told of a sequence of numbers: the interface of the three goals."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.numeric_sequences import NumericSequence
from gatewise.models.encoder import Encoder
from gatewise.progress import tracked
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.inspection import Question
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.rows import Features

BATCH = 64


class Goal(ABC):
    """A goal of one run.

    Attributes:
        measure: how it is reported.
    """

    measure: Measure

    def __init__(self, options: NumericOptions, reader: FeatureReader) -> None:
        self.options = options
        self.reader = reader

    def make_encoder(self) -> Encoder:
        """The recurrent layers, over the features of steps."""
        return make_encoder(self.options, self.reader.scaling.width, drop_input=False)

    @property
    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """What of it is kept in the run folder."""

    @abstractmethod
    def make_model(self) -> Any:
        """The model, with its initial weights."""

    @abstractmethod
    def batches(
        self, examples: Sequence[NumericSequence], where: str, size: int, seed: int | None = None
    ) -> RaggedBatches:
        """Sequences in batches, with what is to be told of them.

        Raises:
            ValueError: when that is missing.
        """

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        """Check that examples can be scored, and warn of labels that the training data does not have.

        Args:
            examples: the examples.
            where: the name of that part of the data.

        Raises:
            ValueError: when what is to be told is missing or contradictory, no label is known, or features are missing.
        """
        self.batches(examples, where, BATCH)

    def read(self, examples: Sequence[NumericSequence], where: str) -> list[Features]:
        """The features of sequences.

        Raises:
            ValueError: for a sequence that has others than in training.
        """
        found: list[Features] = []
        for number, (steps, _) in enumerate(tracked(examples, "scaling", "sequences"), 1):
            try:
                found.append(self.reader.read(steps))
            except ValueError as error:
                raise ValueError(f"{where.replace('_', ' ')}: sequence {number}: {error}") from None
        return found

    @abstractmethod
    def outcome_of(self, model: Any, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        """What comes of a batch in training.

        Args:
            model: the model.
            training: what is learned from; labels may have weights by how often they occur there.
        """

    @abstractmethod
    def scores(
        self, model: nn.Module, examples: Sequence[NumericSequence], where: str, folder: Path | None = None
    ) -> dict[str, Any]:
        """The scores of a trained model.

        Args:
            model: the model.
            examples: what is to be told.
            where: the name of that part of the data.
            folder: where to leave a picture of how it was answered, if there is one to draw; None for nowhere.
        """

    @abstractmethod
    def question(self, model: Any, x: Tensor, features: Sequence[str]) -> Question:
        """What `inspect` asks of a trained model about a sequence.

        Args:
            model: the model.
            x: the steps (T, 1, I) as it reads them.
            features: their I names.

        Raises:
            ValueError: when there are too few steps to ask.
        """

    @property
    def has_probabilities(self) -> bool:
        """Whether an answer is one of several labels."""
        return True

    @abstractmethod
    def predict(self, model: nn.Module, sequences: Sequence[list[list[float]]]) -> list[Any]:
        """What a trained model tells of sequences."""

    @abstractmethod
    def rows(
        self, model: nn.Module, sequences: Iterable[list[list[float]]], *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        """What is written of sequences.

        Args:
            model: a trained model.
            sequences: the steps of each.
            probabilities: whether the probability of every label is written.
            cells: whether rows are those of a table, all of the same columns, where a step may have its own; otherwise
                there is one for each sequence.
        """
