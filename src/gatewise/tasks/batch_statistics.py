"""What came of a batch, in numbers that add up over batches."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class BatchStatistics(NamedTuple):
    """The loss and a counted ratio.

    Attributes:
        nats: the sum of the loss over predictions, () with its history.
        predictions: how many there are; their weights, where they have different ones.
        hits, chances: the parts of the ratio that is reported: right answers and answers, say.
        objective: what training makes least, where that is not the sum of the loss, () with its history.
    """

    nats: Tensor
    predictions: float
    hits: float
    chances: float
    objective: Tensor | None = None

    def plus(self, other: "BatchStatistics") -> "BatchStatistics":
        """Both together, without history."""
        return BatchStatistics(
            self.nats.detach().double() + other.nats.detach().double(),
            self.predictions + other.predictions,
            self.hits + other.hits,
            self.chances + other.chances,
        )

    @classmethod
    def of_sums(cls, nats: float, predictions: float, hits: float, chances: float) -> "BatchStatistics":
        """The outcome that has these numbers, without history."""
        return cls(torch.tensor(nats, dtype=torch.float64), predictions, hits, chances)

    @classmethod
    def sum(cls, outcomes: "Iterable[BatchStatistics]") -> "BatchStatistics":
        """All together, without history."""
        total = cls(torch.zeros(()), 0, 0, 0)
        for outcome in outcomes:
            total = total.plus(outcome)
        return total

    @property
    def loss(self) -> float:
        """The mean loss of a prediction, in nats."""
        return float(self.nats.detach()) / max(self.predictions, 1e-12)

    @property
    def counted(self) -> float:
        """The ratio, 0 where there was no chance."""
        return self.hits / self.chances if self.chances else 0.0
