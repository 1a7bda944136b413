"""What came of a batch, in numbers that add up over batches."""

from typing import NamedTuple, Self

from torch import Tensor


class Outcome(NamedTuple):
    """The loss and a counted ratio.

    Attributes:
        nats: the sum of the loss over predictions, () with its history.
        predictions: how many there are; their weights, where they have different ones.
        hits, chances: the parts of the ratio that is reported: right answers and answers, say.
    """

    nats: Tensor
    predictions: float
    hits: float
    chances: float

    def plus(self, other: Self) -> "Outcome":
        """Both together, without history."""
        return Outcome(
            self.nats.detach().double() + other.nats.detach().double(),
            self.predictions + other.predictions,
            self.hits + other.hits,
            self.chances + other.chances,
        )

    @property
    def loss(self) -> float:
        """The mean loss of a prediction, in nats."""
        return float(self.nats.detach()) / max(self.predictions, 1e-12)

    @property
    def counted(self) -> float:
        """The ratio, 0 where there was no chance."""
        return self.hits / self.chances if self.chances else 0.0
