"""What is told of a step to come: one number, quantiles, or a normal distribution."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_LEAST_DEVIATION = 1e-3


class Output(ABC):
    """What Q numbers (…, Q) of a network mean, in the scale of its window.

    Attributes:
        size: Q.
        located: how many of them move with the level of the forecast.
    """

    size: int
    located: int

    @abstractmethod
    def loss(self, told: Tensor, truth: Tensor) -> Tensor:
        """The loss of each step, (…)."""

    @abstractmethod
    def centre(self, told: Tensor) -> Tensor:
        """The median of each step, (…)."""

    @abstractmethod
    def quantiles(self, told: Tensor, levels: Sequence[float]) -> Tensor:
        """Quantiles at levels, (…, levels), in order."""

    @abstractmethod
    def sample(self, told: Tensor, generator: torch.Generator) -> Tensor:
        """A value drawn for each step, (…)."""


class Point(Output):
    """The median: least absolute error."""

    size = located = 1

    def loss(self, told: Tensor, truth: Tensor) -> Tensor:
        return (told[..., 0] - truth).abs()

    def centre(self, told: Tensor) -> Tensor:
        return told[..., 0]

    def quantiles(self, told: Tensor, levels: Sequence[float]) -> Tensor:
        return told.expand(*told.shape[:-1], len(levels))

    def sample(self, told: Tensor, generator: torch.Generator) -> Tensor:
        return told[..., 0]


class Quantiles(Output):
    """Quantiles at levels of their own: least pinball loss (Koenker & Bassett 1978), twice it, so 0.5 is as `Point`."""

    def __init__(self, levels: Sequence[float]) -> None:
        self._levels = tuple(levels)
        self.size = self.located = len(levels)

    def loss(self, told: Tensor, truth: Tensor) -> Tensor:
        return 2 * pinball(told, truth, self._levels).mean(-1)

    def centre(self, told: Tensor) -> Tensor:
        return self.quantiles(told, self._levels)[..., self._levels.index(0.5)]

    def quantiles(self, told: Tensor, levels: Sequence[float]) -> Tensor:
        if tuple(levels) != self._levels:
            raise ValueError(f"expected the levels that were learned, {self._levels}, got {tuple(levels)}")
        return told.sort(-1).values  # in order where the network's are not (Chernozhukov et al. 2010)

    def sample(self, told: Tensor, generator: torch.Generator) -> Tensor:
        raise NotImplementedError("quantiles are not drawn from; options forbid it")


class Gaussian(Output):
    """Mean and deviation of a normal distribution: least negative log-likelihood."""

    size, located = 2, 1

    def loss(self, told: Tensor, truth: Tensor) -> Tensor:
        mean, deviation = self._parts(told)
        return functional.gaussian_nll_loss(mean, truth, deviation.square(), reduction="none", eps=1e-8)

    def centre(self, told: Tensor) -> Tensor:
        return told[..., 0]

    def quantiles(self, told: Tensor, levels: Sequence[float]) -> Tensor:
        mean, deviation = self._parts(told)
        steps = torch.special.ndtri(torch.tensor(levels, dtype=told.dtype, device=told.device))
        return mean[..., None] + deviation[..., None] * steps

    def sample(self, told: Tensor, generator: torch.Generator) -> Tensor:
        mean, deviation = self._parts(told)
        return mean + deviation * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)

    @staticmethod
    def _parts(told: Tensor) -> tuple[Tensor, Tensor]:
        return told[..., 0], functional.softplus(told[..., 1]) + _LEAST_DEVIATION


def pinball(told: Tensor, truth: Tensor, levels: Sequence[float]) -> Tensor:
    """The pinball loss of quantiles (…, levels) of truths (…), for each level.

    >>> pinball(torch.tensor([[1.0, 1.0]]), torch.tensor([3.0]), (0.1, 0.9)).tolist()
    [[0.20000000298023224, 1.7999999523162842]]
    """
    at = torch.tensor(levels, dtype=told.dtype, device=told.device)
    error = truth[..., None] - told
    return torch.maximum(at * error, (at - 1) * error)


def output_of(name: str, levels: Sequence[float]) -> Output:
    """The output of an option."""
    return Quantiles(levels) if name == "quantile" else {"point": Point, "gaussian": Gaussian}[name]()
