"""The loss and a ratio over a batch, as sums that add up over batches."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class BatchStatistics(NamedTuple):
    """The loss, and a ratio of counts.

    Attributes:
        loss_sum: the sum of the loss over predictions, (), differentiable.
        predictions: the number of predictions, or the sum of their weights.
        numerator, denominator: the parts of the reported ratio: correct and all predictions, for example.
        objective: the quantity to minimise, where it is not the sum of the loss, (), differentiable.
    """

    loss_sum: Tensor
    predictions: float
    numerator: float
    denominator: float
    objective: Tensor | None = None

    def plus(self, other: "BatchStatistics") -> "BatchStatistics":
        """The sum of both, detached."""
        return BatchStatistics(
            self.loss_sum.detach().double() + other.loss_sum.detach().double(),
            self.predictions + other.predictions,
            self.numerator + other.numerator,
            self.denominator + other.denominator,
        )

    @classmethod
    def of_sums(cls, loss_sum: float, predictions: float, numerator: float, denominator: float) -> "BatchStatistics":
        """The statistics with these sums, detached."""
        return cls(torch.tensor(loss_sum, dtype=torch.float64), predictions, numerator, denominator)

    @classmethod
    def sum(cls, several: "Iterable[BatchStatistics]") -> "BatchStatistics":
        """The sum of several, detached."""
        total = cls(torch.zeros(()), 0, 0, 0)
        for one in several:
            total = total.plus(one)
        return total

    @property
    def loss(self) -> float:
        """The mean loss of a prediction."""
        return float(self.loss_sum.detach()) / max(self.predictions, 1e-12)

    @property
    def ratio(self) -> float:
        """The ratio; 0 for a denominator of 0."""
        return self.numerator / self.denominator if self.denominator else 0.0
