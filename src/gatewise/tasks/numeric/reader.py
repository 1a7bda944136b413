"""Sequences of numbers to what a network reads."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.data.batches import padded
from gatewise.data.numeric_sequences import Scaling
from gatewise.tasks.rows import Features


class FeatureReader:
    """Reads sequences for one network.

    Args:
        scaling: of the features.
        dtype: of the network.
    """

    def __init__(self, scaling: Scaling, dtype: torch.dtype) -> None:
        self.scaling = scaling
        self._dtype = dtype

    def read(self, steps: list[list[float]]) -> Features:
        """The features of a sequence."""
        return Features(self.scaling.scaled(steps).to(self._dtype))

    def batch(self, rows: Sequence[Features]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        return (padded([row.numbers for row in rows]),), torch.tensor([len(row.numbers) for row in rows])
