"""What batches are made of: rows of any kind, and who makes the inputs of a batch from them."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Row(Protocol):
    """A sequence of T steps."""

    @property
    def length(self) -> int:
        """T."""
        ...


class Reader(Protocol):
    """Makes the inputs of a network from rows of its kind."""

    def batch(self, rows: Sequence[Any]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        ...
