"""The target of a text: the interface of a label, several labels and a number."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.data.row_store import Field
from gatewise.models.classifier import Classifier
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics

Scored = tuple[Tensor, Sequence[str]]
"""What a model made of N texts, (N, K), and their true targets."""


class Target(ABC):
    """A target of one run; in the data it is written as a text.

    Attributes:
        measure: the score that decides, and ``loss_unit``, what its loss is measured in.
        by_loss: whether the least loss decides.
        has_probabilities: whether there is a probability for every label.
    """

    measure: ClassVar[str]
    loss_unit: ClassVar[str]
    by_loss: ClassVar[bool] = False
    has_probabilities: ClassVar[bool] = True

    @property
    @abstractmethod
    def size(self) -> int:
        """K, the scores that the network makes."""

    @property
    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What there is to tell, for people."""

    @abstractmethod
    def check(self, part: str, written: Iterable[str]) -> None:
        """Check that a part of the data can be scored, and warn of labels that the training data does not have.

        Raises:
            ValueError: when it has none of them.
        """

    @abstractmethod
    def encoder(self, written: Iterable[str]) -> tuple[Field, Callable[[str], Any]]:
        """What makes numbers of targets: of a label, of all labels 0 or 1, or the number itself, scaled.

        Args:
            written: the targets of all examples, as the data has them.

        Returns:
            the form of a target, and the function that makes it.
        """

    def numbers(self, written: Sequence[str]) -> list[Any]:
        """Targets as numbers, see `encoder`."""
        _, encode = self.encoder(written)
        return [encode(one) for one in written]

    @abstractmethod
    def outcome_of(
        self, model: Classifier, training: Sequence[Any] | NDArray[Any]
    ) -> Callable[[Batch], BatchStatistics]:
        """What comes of a batch.

        Args:
            model: the model.
            training: the targets that are learned from.
        """

    @abstractmethod
    def scores(self, parts: Iterable[Scored], plot: Path | None = None) -> dict[str, Any]:
        """The scores of texts that come in parts, of which sums alone are kept.

        Args:
            parts: some texts each.
            plot: the file of a plot of them, where the target has one; None for no plot.
        """

    @abstractmethod
    def predictions(self, logits: Tensor) -> list[Any]:
        """The predictions for scores (N, K)."""

    @abstractmethod
    def row(self, found: Any, *, probabilities: bool) -> Mapping[str, Any]:
        """The output row of one of `predictions`; None for a text without words."""

    @abstractmethod
    def question(self, logits: Tensor) -> Question:
        """What `inspect` asks about a text with scores (1, K)."""
