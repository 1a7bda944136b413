"""Measurements of optimiser steps: the norms of gradients, updates and weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from gatewise.kernels.update_norms import change_norms

# Beyond this many steps, every second is discarded and no longer measured: for small networks a measurement costs
# nearly as much as a step.
MOST = 128


@dataclass(frozen=True)
class Update:
    """One step of an optimiser on parameters of the watched model.

    Attributes:
        names: names of the P parameters.
        gradient_norms: (P,) the norm of each gradient, after clipping.
        update_norms: (P,) the norm of each change.
        weight_norms: (P,) the norm of each weight before the step.
    """

    names: tuple[str, ...]
    gradient_norms: Tensor
    update_norms: Tensor
    weight_norms: Tensor

    @property
    def gradient_norm(self) -> float:
        """The norm of all gradients together."""
        return float(self.gradient_norms.norm())

    @property
    def ratios(self) -> dict[str, float]:
        """The ratio of update norm to weight norm by parameter name, without weights that were zero."""
        found = (self.update_norms / self.weight_norms).tolist()
        return {
            name: one for name, one, weight in zip(self.names, found, self.weight_norms.tolist(), strict=True) if weight
        }


class Updates:
    """Measures optimiser steps: all at first, then every second, fourth, …, evenly spaced.

    Args:
        names: names of the parameters to measure, by id.

    Attributes:
        before: copies of the parameters that the current step changes, by id; empty between steps.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.before: dict[int, Tensor] = {}
        self._names = names
        self._own: list[Tensor] = []
        self._steps, self._every = 0, 1
        self._measured: list[tuple[tuple[str, ...], Tensor]] = []

    def begin(self, optimiser: Optimizer) -> None:
        """Called before an optimiser step."""
        self._own = own = []
        for group in optimiser.param_groups:
            own += [one for one in group["params"] if id(one) in self._names]
        self.before = {id(one): one.detach().clone() for one in own}

    def end(self, optimiser: Optimizer) -> None:
        """Called after it."""
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
        """The measured steps, in order."""
        return [Update(names, *norms.unbind()) for names, norms in self._measured]
