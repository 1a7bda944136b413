"""Gradient clipping with statistics."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn

ClippingObserver = Callable[[Sequence[Tensor], "Clipped"], None]
_observers: list[ClippingObserver] = []


@dataclass(frozen=True)
class Clipped:
    """The statistics of one clipping.

    Attributes:
        norm: norm of the whole gradient before clipping.
        clipped: whether anything was changed.
        norms: norms before clipping by layer, or of all layers together under the empty name.
        values: fraction of components that were clipped, when clipping by value; otherwise 0.
    """

    norm: float
    clipped: bool
    norms: dict[str, float]
    values: float = 0.0


class Clip:
    """Clip gradients by norm or by value, together or per layer, and count how often gradients were clipped.

    Args:
        norm: the largest norm (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1).
        value: alternatively, the largest absolute value of a component.
        per_layer: whether each module with parameters is clipped separately, rather than all together.

    Attributes:
        last: the statistics of the last clipping, or None.
        steps: number of calls.
        clipped_steps: number of calls that changed a gradient.

    Raises:
        ValueError: unless one of norm and value is given and positive.
        TypeError: when it is not a number.

    >>> import torch, gatewise
    >>> layer, clip = gatewise.LSTM(3, 4), gatewise.Clip(norm=1e-3)
    >>> layer(torch.randn(7, 2, 3))[0].sum().backward()
    >>> clip(layer).clipped, clip.fraction
    (True, 1.0)
    """

    def __init__(self, *, norm: float | None = None, value: float | None = None, per_layer: bool = False) -> None:
        if (norm is None) == (value is None):
            raise ValueError("Clip: expected either norm or value, as in Clip(norm=1.0)")
        for name, given in (("norm", norm), ("value", value)):
            if given is not None and (isinstance(given, bool) or not isinstance(given, Real)):
                raise TypeError(f"{name}: expected a number, got {type(given).__name__} ({given!r:.60})")
            if given is not None and not given > 0:
                raise ValueError(f"{name}: expected a positive number, got {given!r}")
        if value is not None and per_layer:
            raise ValueError("per_layer: expected with norm; clipping by value is number by number anyway")
        self.norm, self.value, self.per_layer = norm, value, per_layer
        self.last: Clipped | None = None
        self.steps = self.clipped_steps = 0

    @property
    def fraction(self) -> float:
        """The fraction of steps in which gradients were clipped; 0 before the first."""
        return self.clipped_steps / self.steps if self.steps else 0.0

    def __call__(self, model: nn.Module) -> Clipped:
        """Clip the gradients of a model in place, after the backward pass and before the optimiser's step.

        Raises:
            TypeError: for something that is not a model.
        """
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        groups = _layers(model) if self.per_layer else {"": list(model.parameters())}
        groups = {name: [one for one in group if one.grad is not None] for name, group in groups.items()}
        groups = {name: group for name, group in groups.items() if group}
        norms: dict[str, float] = {}
        values = 0.0
        for name, group in groups.items():
            total = nn.utils.get_total_norm([one.grad for one in group if one.grad is not None])
            norms[name] = float(total)
            if self.norm is not None:
                nn.utils.clip_grads_with_norm_(group, self.norm, total)
        if self.value is not None:
            gradients = [one.grad for group in groups.values() for one in group if one.grad is not None]
            cut = sum(int((gradient.abs() > self.value).sum()) for gradient in gradients)
            values = cut / max(1, sum(gradient.numel() for gradient in gradients))
            nn.utils.clip_grad_value_([one for group in groups.values() for one in group], self.value)
        whole = torch.tensor(list(norms.values()), dtype=torch.float64, device="cpu").norm().item()
        over = values > 0 if self.norm is None else any(not one <= self.norm for one in norms.values())
        self.last = Clipped(whole, over, norms, values)
        self.steps += 1
        self.clipped_steps += over
        report_clipping(list(model.parameters()), self.last)
        return self.last


def _layers(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():  # shared parameters once
        groups.setdefault(name.rpartition(".")[0], []).append(parameter)
    return groups


def report_clipping(parameters: Sequence[Tensor], event: Clipped) -> None:
    """Notify observers of a clipping of these parameters' gradients, whether or not it changed them."""
    for observer in list(_observers):
        observer(parameters, event)


@contextmanager
def observe_clipping(observer: ClippingObserver) -> Iterator[None]:
    """Notify an observer of every clipping within the block."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)
