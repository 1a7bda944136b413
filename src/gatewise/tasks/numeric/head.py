"""What is predicted of a sequence of numbers: the interface of a target for it, for its steps, and of the next step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.encoder import Encoder
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader

BATCH = 64


class Head(ABC):
    """The head of one run.

    Attributes:
        measure: how it is reported.
        has_probabilities: whether there is a probability for each of several labels.
        reader: reads the sequences.

    Args:
        options: the options of the run.
        reader: reads the sequences.
    """

    measure: Measure
    has_probabilities: bool = True

    def __init__(self, options: NumericOptions, reader: FeatureReader) -> None:
        self.options = options
        self.reader = reader

    def make_encoder(self) -> Encoder:
        """The recurrent layers, over the steps."""
        return make_encoder(self.options, self.reader.width, drop_input=False)

    @property
    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """What of it is kept in the run folder, besides those of the reader."""

    @abstractmethod
    def make_model(self) -> Any:
        """The model, with its initial weights."""

    @abstractmethod
    def batches(self, examples: Sequence[NumericSequence], size: int, seed: int | None = None) -> RaggedBatches:
        """Sequences in batches, with their targets."""

    @abstractmethod
    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        """Check that examples have targets, and warn of labels that the training data does not have.

        Args:
            examples: the examples.
            where: the name of that part of the data.

        Raises:
            ValueError: when a target is missing or contradictory, or no label is known.
        """

    @abstractmethod
    def statistics_of(self, model: Any, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        """The statistics of a batch, with its loss.

        Args:
            model: the model.
            training: the training data; labels may have weights by how often they occur there.
        """

    @abstractmethod
    def scores(self, model: Any, examples: Sequence[NumericSequence], plot: Path | None = None) -> dict[str, Any]:
        """The scores of a trained model.

        Args:
            model: the model.
            examples: what is scored.
            plot: the file for a plot of the confusion matrix, if there is one; None for none.
        """

    @abstractmethod
    def question(self, model: Any, x: Tensor, names: Sequence[str]) -> Question:
        """What `inspect` asks of a trained model about a sequence.

        Args:
            model: the model.
            x: the steps (T, 1, width) as its encoder reads them.
            names: the names of the features.

        Raises:
            ValueError: when there are too few steps.
        """

    @abstractmethod
    def predict(self, model: Any, examples: Sequence[NumericSequence]) -> list[Any]:
        """What a trained model predicts for sequences."""

    @abstractmethod
    def rows(self, found: Any, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        """What is written of a prediction.

        Args:
            found: the prediction.
            number: the number of the sequence, from 1.
            probabilities: whether the probability of every label is written.
            cells: whether rows are those of a table, where each step may have its own; otherwise there is one row.
        """
