"""A batch of generated sequences, and the checks that generators share."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """Sequences of a generated task.

    Attributes:
        inputs: (T, B, I) float; 0 in padding.
        targets: as the task documents.
        lengths: (B,) int64, or None if all sequences have T steps.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """Which steps are not padding, (T, B) bool."""
        steps, count = self.inputs.shape[:2]
        if self.lengths is None:
            return torch.ones(steps, count, dtype=torch.bool)
        return torch.arange(steps, device=self.lengths.device)[:, None] < self.lengths


def check_size(name: str, value: int, at_least: int) -> None:
    """Check an argument that counts something.

    Raises:
        TypeError, ValueError: unless it is a whole number of at least so much.

    >>> check_size("length", 5, 10)
    Traceback (most recent call last):
    ValueError: length: expected at least 10, got 5
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"{name}: expected at least {at_least}, got {value}")


def integers(low: int, high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform integers from low to high, both included."""
    return torch.randint(low, high + 1, shape, generator=generator)


def ragged_lengths(length: int, count: int, generator: torch.Generator) -> Tensor:
    """Uniform lengths from T to 1.1 T, as in Hochreiter & Schmidhuber 1997."""
    return integers(length, length + length // 10, (count,), generator)
