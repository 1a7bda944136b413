"""What is predicted of a step to come: one number, quantiles, or a normal distribution."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MIN_DEVIATION = 1e-3


class Output(ABC):
    """What Q numbers (…, Q) of a network mean, in the scale of its window.

    Attributes:
        size: Q.
        located: how many of them move with the level of the forecast.
        loss_unit: what the loss is measured in.
    """

    size: int
    located: int
    loss_unit: str

    @abstractmethod
    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """The loss of each step, (…)."""

    @abstractmethod
    def centre(self, predicted: Tensor) -> Tensor:
        """The median of each step, (…)."""

    @abstractmethod
    def quantiles(self, predicted: Tensor, levels: Sequence[float]) -> Tensor:
        """Quantiles at levels, (…, levels), in order."""

    @abstractmethod
    def constant(self, errors: Tensor) -> Tensor:
        """The constant numbers (K, Q) that fit errors (n, K) best; float64."""


class Distribution(Output):
    """An output from one step of which the next can be predicted."""

    @abstractmethod
    def drawn(self, predicted: Tensor, noise: Tensor) -> Tensor:
        """A value drawn for each step with standard normal noise, (…)."""


class Point(Distribution):
    """The median: least absolute error. All that is drawn is the median too."""

    size = located = 1
    loss_unit = "scaled absolute error"

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        return (predicted[..., 0] - truth).abs()

    def centre(self, predicted: Tensor) -> Tensor:
        return predicted[..., 0]

    def quantiles(self, predicted: Tensor, levels: Sequence[float]) -> Tensor:
        return predicted.expand(*predicted.shape[:-1], len(levels))

    def constant(self, errors: Tensor) -> Tensor:
        return quantiles_of(errors, (0.5,))

    def drawn(self, predicted: Tensor, noise: Tensor) -> Tensor:
        return predicted[..., 0]


class Quantiles(Output):
    """Quantiles at levels of their own: least pinball loss (Koenker & Bassett 1978), twice it, so 0.5 is as `Point`."""

    loss_unit = "scaled pinball loss"

    def __init__(self, levels: Sequence[float]) -> None:
        self._levels = tuple(levels)
        self.size = self.located = len(levels)

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        error = truth[..., None] - predicted
        # The sum of `pinball` over levels, in fewer passes over memory.
        return (error @ error.new_tensor(self._levels) + (-error).relu().sum(-1)) * (2 / self.size)

    def centre(self, predicted: Tensor) -> Tensor:
        return predicted[..., self._levels.index(0.5)]

    def quantiles(self, predicted: Tensor, levels: Sequence[float]) -> Tensor:
        if tuple(levels) != self._levels:
            raise ValueError(f"expected the levels that were learned, {self._levels}, got {tuple(levels)}")
        return predicted.sort(-1).values  # in order where the network's are not (Chernozhukov et al. 2010)

    def constant(self, errors: Tensor) -> Tensor:
        return quantiles_of(errors, self._levels)


class Gaussian(Distribution):
    """Mean and deviation of a normal distribution: least negative log-likelihood."""

    size, located = 2, 1
    loss_unit = "nats/value"

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        mean, deviation = self._parts(predicted)
        return functional.gaussian_nll_loss(mean, truth, deviation.square(), reduction="none", eps=1e-8)

    def centre(self, predicted: Tensor) -> Tensor:
        return predicted[..., 0]

    def quantiles(self, predicted: Tensor, levels: Sequence[float]) -> Tensor:
        mean, deviation = self._parts(predicted)
        steps = predicted.new_tensor([NormalDist().inv_cdf(level) for level in levels])
        return mean[..., None] + deviation[..., None] * steps

    def constant(self, errors: Tensor) -> Tensor:
        mean = errors.nanmean(0).nan_to_num()
        deviation = (errors - mean).square().nanmean(0).sqrt().nan_to_num(nan=1.0).clamp(min=0.01)
        return torch.stack((mean, deviation.expm1().log()), 1)  # softplus gives it back

    def drawn(self, predicted: Tensor, noise: Tensor) -> Tensor:
        mean, deviation = self._parts(predicted)
        return mean + deviation * noise

    @staticmethod
    def _parts(predicted: Tensor) -> tuple[Tensor, Tensor]:
        return predicted[..., 0], functional.softplus(predicted[..., 1]) + _MIN_DEVIATION


def pinball(predicted: Tensor, truth: Tensor, levels: Sequence[float]) -> Tensor:
    """The pinball loss of quantiles (…, levels) of truths (…), for each level.

    >>> pinball(torch.tensor([[1.0, 1.0]]), torch.tensor([3.0]), (0.1, 0.9)).tolist()
    [[0.20000000298023224, 1.7999999523162842]]
    """
    level = torch.tensor(levels, dtype=predicted.dtype, device=predicted.device)
    error = truth[..., None] - predicted
    return level * error + (-error).relu()


def quantiles_of(errors: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles (K, levels) of the errors (n, K) of each step, float64; NaN is none, and without any they are 0."""
    there = ~errors.isnan().all(0)
    found = torch.zeros(errors.shape[1], len(levels), dtype=torch.float64)
    if there.any():
        found[there] = torch.from_numpy(np.nanquantile(errors[:, there].double().numpy(), levels, axis=0).T)
    return found


def output_of(name: str, levels: Sequence[float]) -> Output:
    """The output of an option."""
    return Quantiles(levels) if name == "quantile" else {"point": Point, "gaussian": Gaussian}[name]()
