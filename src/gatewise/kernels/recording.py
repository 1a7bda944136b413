"""What a watcher may ask a call to write down: the states after every step, and the whole gradient that reached them.

A `Record` is part of a `Call`. It is made before the forward pass and filled by whichever backend runs the call, the
gradients when its backward pass runs. Everything else that a watcher shows (gates, their gradients, shares of weight
gradients) follows from these values and the equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gatewise.kernels.call import Call
from gatewise.kernels.choice import Choice
from gatewise.kernels.norms import norm_dtype, row_norms

COMPILED = (
    "gatewise.watch: a watched layer was called inside torch.compile, torch.export, a trace or a torch.func transform, "
    "whose graphs do not show the gradients of single steps; call the model itself while it is watched, not its "
    "compiled form"
)


class Rows(Protocol):
    """Takes the values of one state, row by row of the caller's (T·B, H).

    Args:
        direction: 0, or 1 for the reverse one beside it.
        state: its number.
        first: the row of (T·B) with which the values begin.
        values: (n, H).
        index: (n,) int64, the row of each value counted from ``first``; None: they follow each other.
    """

    def __call__(self, direction: int, state: int, first: int, values: Tensor, index: Tensor | None) -> None: ...


class Norms(Protocol):
    """Takes norms of the rows of one state, or of all of them.

    Args:
        direction, first, index: as for `Rows`.
        state: its number; None for all.
        norms: (n,), or (n, S) of all.
        values: the rows, (n, H) or (n, S, H), for who wants them.
    """

    def __call__(
        self, direction: int, state: int | None, first: int, norms: Tensor, values: Tensor | None, index: Tensor | None
    ) -> None: ...


class Sink(Protocol):
    """Who asks. A call has one of its own; values at steps of padding may be anything.

    Attributes:
        wants_values: whether `states` is to be called, and `gradients` with more than norms.
        states: takes the states after each step.
        gradients: takes the norm of the whole gradient of each: from the output, from other states of the step (as that
            of c through h = o ⊙ tanh(c)) and from the next step, unless a reset cuts it there.
    """

    @property
    def wants_values(self) -> bool: ...
    @property
    def states(self) -> Rows: ...
    @property
    def gradients(self) -> Norms: ...
    def begin(self, call: Call, choice: Choice) -> None:
        """A call is about to be run by a backend."""

    def end(self, output: Tensor) -> None:
        """It has been run; output (T, B, D·H)."""


class Watcher(Protocol):
    """Who watches a module."""

    def sink(self, owner: nn.Module, layer: int) -> Sink:
        """For a call of one layer of the module; nothing happens before it begins."""
        ...


@dataclass(frozen=True)
class Record:
    """What a call is asked to write down.

    Attributes:
        sinks: for whom; as many as there are watchers.
        direction: 1 for the reverse direction of a bidirectional call.
        first: the row of (T·B) with which a window begins.
    """

    sinks: tuple[Sink, ...]
    direction: int = 0
    first: int = 0

    def of_direction(self, direction: int) -> "Record":
        """The part of one direction of a bidirectional call."""
        return replace(self, direction=direction)

    def of_rows(self, first: int) -> "Record":
        """The part of a window, which begins with this row."""
        return replace(self, first=self.first + first)

    @property
    def wants_values(self) -> bool:
        """Whether anybody wants the states and their gradients."""
        return any(sink.wants_values for sink in self.sinks)

    def begin(self, call: Call, choice: Choice) -> None:
        """Tell everybody that the call is about to be run."""
        for sink in self.sinks:
            sink.begin(call, choice)

    def end(self, output: Tensor) -> None:
        """Tell everybody that it has been run."""
        for sink in self.sinks:
            sink.end(output.detach())

    def states(self, state: int, values: Tensor, index: Tensor | None = None, first: int = 0) -> None:
        """Hand over values of a state; see `Rows`."""
        for sink in self.sinks:
            if sink.wants_values:
                sink.states(self.direction, state, self.first + first, values.detach(), index)

    def gradients(self, state: int | None, values: Tensor, index: Tensor | None = None, first: int = 0) -> None:
        """Hand over gradients of a state, or of all; see `Norms`."""
        values = values.detach()
        self.norms(state, row_norms(values.to(norm_dtype(values.dtype))), values, index, first)

    def norms(
        self, state: int | None, norms: Tensor, values: Tensor | None, index: Tensor | None = None, first: int = 0
    ) -> None:
        """Hand over gradients of which the norms are known; the values only where somebody wants them."""
        for sink in self.sinks:
            own = values if sink.wants_values else None
            sink.gradients(self.direction, state, self.first + first, norms, own, index)

    def observed(self, step: int, states: Sequence[Tensor], made: Sequence[bool], *, history: bool) -> list[Tensor]:
        """The states after a step as autograd is to go on with them, so that their gradients are told here.

        Args:
            step: t.
            states: (B, H) each.
            made: by state whether the step computed it, rather than passed on a state from before.
            history: whether anything wants a gradient; then all states do, as on the engine.
        """
        results: list[Tensor] = []
        for number, (state, is_new) in enumerate(zip(states, made, strict=True)):
            first = step * state.shape[0]
            self.states(number, state, None, first)
            if history:
                if not state.requires_grad:
                    state = state.detach().requires_grad_()
                elif not is_new:
                    state = state.view_as(state)  # what was before has a gradient of its own

                def tell(gradient: Tensor, number: int = number, first: int = first) -> None:
                    self.gradients(number, gradient, None, first)

                state.register_hook(tell)
            results.append(state)
        return results


_watchers: WeakKeyDictionary[nn.Module, tuple[Watcher, ...]] = WeakKeyDictionary()


def add(owner: nn.Module, watcher: Watcher) -> None:
    """Let somebody watch a module."""
    _watchers[owner] = (*_watchers.get(owner, ()), watcher)


def remove(owner: nn.Module, watcher: Watcher) -> None:
    """Let somebody no longer watch a module."""
    left = tuple(one for one in _watchers.get(owner, ()) if one is not watcher)
    if left:
        _watchers[owner] = left
    else:
        _watchers.pop(owner, None)


def record_of(owner: nn.Module, layer: int) -> Record | None:
    """What a call of one layer of a module is asked to write down; None when nobody watches it."""
    # A compiled graph outlives a watch, so nothing of watches goes into it; `refuse` speaks when it runs.
    if not _watchers or torch.compiler.is_compiling():
        return None
    watchers = _watchers.get(owner, ())
    return Record(tuple(watcher.sink(owner, layer) for watcher in watchers)) if watchers else None


def is_watched(owner: nn.Module) -> bool:
    """Whether anybody watches a module."""
    return bool(_watchers) and owner in _watchers


def refuse(parameters: Sequence[Tensor]) -> None:
    """Raise when the layer with these parameters is watched: for calls that cannot write down anything.

    Raises:
        ValueError: with the reason.
    """
    if not _watchers:
        return
    addresses = {tensor.data_ptr() for tensor in parameters}
    for owner in list(_watchers):
        if any(parameter.data_ptr() in addresses for parameter in owner.parameters()):
            raise ValueError(COMPILED)
