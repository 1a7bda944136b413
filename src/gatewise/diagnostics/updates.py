"""What optimisers do to the weights of a model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from gatewise.kernels.changes import change_norms

# Of more steps than this every second is forgotten, and no longer measured: a small network's step takes little longer
# than its measurement.
MOST = 128


@dataclass(frozen=True)
class Update:
    """One step of an optimiser, as far as it updated parameters of the watched model.

    Attributes:
        names: of the parameters.
        gradients, changes, weights: (P,) by parameter the norm of its gradient after any clipping, of the change, and
            of the weight before.
    """

    names: tuple[str, ...]
    gradients: Tensor
    changes: Tensor
    weights: Tensor

    @property
    def gradient_norm(self) -> float:
        """Of all gradients together."""
        return float(self.gradients.norm())

    @property
    def ratios(self) -> dict[str, float]:
        """By parameter name, the norm of the change over that of the weight; without weights that were zero."""
        found = (self.changes / self.weights).tolist()
        return {name: one for name, one, weight in zip(self.names, found, self.weights.tolist(), strict=True) if weight}


class Updates:
    """Measures the steps of optimisers: all of the first ones, then every second, fourth, … evenly over all of them.

    Arguments:
        names: of the parameters that count, by id.

    Attributes:
        before: those parameters that a step is about to change, as they were before it, by id; empty between steps.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.before: dict[int, Tensor] = {}
        self._names = names
        self._own: list[Tensor] = []
        self._steps, self._every = 0, 1
        self._measured: list[tuple[tuple[str, ...], Tensor]] = []

    def begin(self, optimiser: Optimizer) -> None:
        """An optimiser is about to make a step."""
        self._own = own = []
        for group in optimiser.param_groups:
            own += [one for one in group["params"] if id(one) in self._names]
        self.before = {id(one): one.detach().clone() for one in own}

    def end(self, optimiser: Optimizer) -> None:
        """It has made it."""
        before, self.before = self.before, {}
        own, self._own = [one for one in self._own if one.grad is not None], []
        if not own:
            return
        self._steps += 1
        if (self._steps - 1) % self._every:
            return
        gradients = [one.grad for one in own if one.grad is not None]
        with torch.no_grad():
            norms = change_norms(gradients, own, [before[id(one)] for one in own])
        self._measured.append((tuple([self._names[id(one)] for one in own]), norms))
        if len(self._measured) > MOST:
            self._measured = self._measured[::2]
            self._every *= 2

    def all(self) -> list[Update]:
        """Those that were measured, in order."""
        return [Update(names, *norms.unbind()) for names, norms in self._measured]
