"""What batches are made of: rows of any kind, and who makes the inputs of a batch from them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Row(Protocol):
    """A sequence whose first dimension is time."""

    @property
    def numbers(self) -> Tensor: ...


class Features(NamedTuple):
    """A sequence of features, (T, I)."""

    numbers: Tensor


class Reader(Protocol):
    """Makes the inputs of a network from rows of its kind."""

    def batch(self, rows: Sequence[Any]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        ...
