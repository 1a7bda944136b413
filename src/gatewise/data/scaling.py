"""Features to mean 0 and standard deviation 1, with missing values."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

ROUNDING = 8 * 2.0**-52
"""Of the largest number: smaller differences are taken for rounding, eight times what float64 resolves."""

_BLOCK = 1 << 16
"""Steps that are read together."""


class Scaling:
    """Features to mean 0 and standard deviation 1 over the training data; one that never changes is only shifted.

    NaN is a missing value.

    Args:
        means: of the features.
        deviations: of the features; 0 for one that never changes.
        missing: the features, from 0, that have missing values in the training data.

    >>> scaling = Scaling.learn([[[1.0, 5.0], [3.0, 5.0]]])
    >>> scaling.scaled([[3.0, 6.0]]).tolist(), scaling.constant
    ([[1.0, 1.0]], [1])
    """

    unit: ClassVar[str] = "scaling"

    def __init__(self, means: Sequence[float], deviations: Sequence[float], missing: Sequence[int] = ()) -> None:
        self.means = torch.tensor(means, dtype=torch.float64)
        self.deviations = torch.tensor(deviations, dtype=torch.float64)
        self.missing = list(missing)
        self._divisors = self.deviations.where(self.deviations > 0, 1)
        self._never_missing = torch.ones(len(means), dtype=torch.bool)
        self._never_missing[self.missing] = False

    @classmethod
    def learn(cls, sequences: Collection[ArrayLike]) -> Self:
        """Of the steps of some sequences; missing values are ignored.

        Raises:
            ValueError: for a feature without any value.
        """
        steps = 0
        largest = counts = np.zeros(())
        for block in _blocks(sequences):
            steps += len(block)
            counts = counts + (~np.isnan(block)).sum(0)
            largest = np.fmax(largest, np.fmax.reduce(np.abs(block), 0, initial=0.0))
        if not counts.all():
            raise ValueError(f"feature {int(counts.argmin()) + 1} has no value in the training data; leave it out")
        # By powers of two, which is exact, so that no square or sum of them is out of the range of float64.
        _, exponents = np.frexp(largest)

        def mean_of(of_block: Any) -> NDArray[np.float64]:
            return sum(np.nansum(of_block(np.ldexp(block, -exponents)), 0) for block in _blocks(sequences)) / counts

        means = mean_of(lambda block: block)
        deviations = np.sqrt(mean_of(lambda block: np.square(block - means)))
        deviations[deviations <= ROUNDING * np.ldexp(largest, -exponents)] = 0
        missing = np.flatnonzero(counts < steps).tolist()
        return cls(np.ldexp(means, exponents).tolist(), np.ldexp(deviations, exponents).tolist(), missing)

    @classmethod
    def none(cls, width: int, missing: Sequence[int] = ()) -> Self:
        """One that changes nothing."""
        return cls([0.0] * width, [1.0] * width, missing)

    @property
    def width(self) -> int:
        """The number of features I."""
        return len(self.means)

    @property
    def constant(self) -> list[int]:
        """The features, from 0, that never change in the training data."""
        return (self.deviations == 0).nonzero().flatten().tolist()

    def of(self, values: Tensor) -> Tensor:
        """Features (…, I) scaled, float64."""
        return (values - self.means) / self._divisors

    def scaled(self, steps: ArrayLike) -> Tensor:
        """The steps (T, I) of a sequence, float32; NaN where a value is missing.

        Raises:
            ValueError: when there are more or fewer features, one is missing that never is in the training data, or one
                is so far off that float32 cannot hold it.
        """
        values = torch.tensor(np.asarray(steps, np.float64))
        if values.dim() != 2 or values.shape[1] != self.width:
            raise ValueError(f"expected {self.width} features at each step, as in training, got {tuple(values.shape)}")
        missing = values.isnan()
        if (missing & self._never_missing).any():
            step, feature = (missing & self._never_missing).nonzero()[0].tolist()
            raise ValueError(
                f"step {step + 1}: feature {feature + 1} is missing, which it never is in the training data; give it a "
                "value, or train on data in which it is missing sometimes"
            )
        scaled = self.of(values).float()
        wrong = ~scaled.isfinite() & ~missing
        if wrong.any():
            step, feature = wrong.nonzero()[0].tolist()
            raise ValueError(
                f"step {step + 1}: feature {feature + 1} is {float(values[step, feature]):g}, too far from the "
                f"training data (mean {float(self.means[feature]):g}, deviation {float(self.deviations[feature]):g})"
            )
        return scaled

    def unscaled(self, values: Tensor) -> Tensor:
        """The features (…, I) that scaled ones stand for, float64."""
        return values.double() * self._divisors + self.means

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"means": self.means.tolist(), "deviations": self.deviations.tolist(), "missing": self.missing}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The scaling that `content` described."""
        return cls(content["means"], content["deviations"], content.get("missing", ()))


def _blocks(sequences: Collection[ArrayLike]) -> Iterator[NDArray[np.float64]]:
    """The steps of sequences, one after another, some at a time."""
    block: list[NDArray[np.float64]] = []
    size = 0
    for steps in sequences:
        block.append(np.asarray(steps, np.float64))
        size += len(block[-1])
        if size >= _BLOCK:
            yield np.concatenate(block)
            block, size = [], 0
    if block:
        yield np.concatenate(block)
