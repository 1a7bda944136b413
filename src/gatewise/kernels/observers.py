"""Observers of calls: they receive the states after every step and their total gradients.

A `Record` is part of a `Call`. It is created before the forward pass and filled by the backend that runs the call, with
the gradients in the backward pass. Everything else (gates, their gradients, contributions to weight gradients) is
derived from these values and the equations.
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
    """Receives values of one state, as rows of (T·B, H).

    Args:
        direction: 0, or 1 for the reverse one of a bidirectional call.
        state: its number.
        first: the row of (T·B) at which the values begin.
        values: (n, H).
        index: (n,) int64, the row of each value relative to ``first``; None for consecutive rows.
    """

    def __call__(self, direction: int, state: int, first: int, values: Tensor, index: Tensor | None) -> None: ...


class Norms(Protocol):
    """Receives norms of gradients of one state, or of all states.

    Args:
        direction, first, index: as for `Rows`.
        state: its number; None for all.
        norms: (n,), or (n, S) of all.
        values: the gradients, (n, H) or (n, S, H), if wanted.
    """

    def __call__(
        self, direction: int, state: int | None, first: int, norms: Tensor, values: Tensor | None, index: Tensor | None
    ) -> None: ...


class Sink(Protocol):
    """Receives recorded values; one instance per call. Values in padding are undefined.

    Attributes:
        wants_values: whether `states` is called, and `gradients` with values besides norms.
        states: receives the states after each step.
        gradients: receives the norm of the total gradient of each state: through the output, through other states of
            the step (as that of c through h = o ⊙ tanh(c)) and through the next step, unless a reset cuts it there.
    """

    @property
    def wants_values(self) -> bool: ...
    @property
    def states(self) -> Rows: ...
    @property
    def gradients(self) -> Norms: ...
    def begin(self, call: Call, choice: Choice) -> None:
        """Called before a backend runs the call."""

    def end(self, output: Tensor) -> None:
        """Called after a backend has run it; output (T, B, D·H)."""


class Watcher(Protocol):
    """Creates the sinks of a watched module."""

    def sink(self, owner: nn.Module, layer: int) -> Sink:
        """The sink for a call of one layer of the module."""
        ...


@dataclass(frozen=True)
class Record:
    """The sinks of a call.

    Attributes:
        sinks: one per watcher.
        direction: 1 for the reverse direction of a bidirectional call.
        first: the row of (T·B) at which a window begins.
    """

    sinks: tuple[Sink, ...]
    direction: int = 0
    first: int = 0

    def of_direction(self, direction: int) -> "Record":
        """The record of one direction of a bidirectional call."""
        return replace(self, direction=direction)

    def of_rows(self, first: int) -> "Record":
        """The record of a window that begins at this row."""
        return replace(self, first=self.first + first)

    @property
    def wants_values(self) -> bool:
        """Whether any sink receives states and gradients."""
        return any(sink.wants_values for sink in self.sinks)

    def begin(self, call: Call, choice: Choice) -> None:
        """Notify all sinks before the call runs."""
        for sink in self.sinks:
            sink.begin(call, choice)

    def end(self, output: Tensor) -> None:
        """Notify all sinks after the call has run."""
        for sink in self.sinks:
            sink.end(output.detach())

    def states(self, state: int, values: Tensor, index: Tensor | None = None, first: int = 0) -> None:
        """Pass values of a state to the sinks; see `Rows`."""
        for sink in self.sinks:
            if sink.wants_values:
                sink.states(self.direction, state, self.first + first, values.detach(), index)

    def gradients(self, state: int | None, values: Tensor, index: Tensor | None = None, first: int = 0) -> None:
        """Pass gradients of one or all states to the sinks; see `Norms`."""
        values = values.detach()
        self.norms(state, row_norms(values.to(norm_dtype(values.dtype))), values, index, first)

    def norms(
        self, state: int | None, norms: Tensor, values: Tensor | None, index: Tensor | None = None, first: int = 0
    ) -> None:
        """Pass gradients with known norms to the sinks; values only to those that want them."""
        for sink in self.sinks:
            own = values if sink.wants_values else None
            sink.gradients(self.direction, state, self.first + first, norms, own, index)

    def observed(self, step: int, states: Sequence[Tensor], made: Sequence[bool], *, history: bool) -> list[Tensor]:
        """The states after a step, with hooks that report their gradients.

        Args:
            step: t.
            states: (B, H) each.
            made: for each state, whether the step computed it rather than returned a previous state.
            history: whether any tensor requires a gradient; then all states do, as on the engine.
        """
        results: list[Tensor] = []
        for number, (state, is_new) in enumerate(zip(states, made, strict=True)):
            first = step * state.shape[0]
            self.states(number, state, None, first)
            if history:
                if not state.requires_grad:
                    state = state.detach().requires_grad_()
                elif not is_new:
                    state = state.view_as(state)  # the previous state has a separate gradient

                def notify(gradient: Tensor, number: int = number, first: int = first) -> None:
                    self.gradients(number, gradient, None, first)

                state.register_hook(notify)
            results.append(state)
        return results


_watchers: WeakKeyDictionary[nn.Module, tuple[Watcher, ...]] = WeakKeyDictionary()
# To ask in every call whether there are any: the dictionary itself takes eight times as long.
_entries: dict[object, object] = _watchers.data  # pyright: ignore[reportAttributeAccessIssue]


def add(owner: nn.Module, watcher: Watcher) -> None:
    """Add a watcher to a module."""
    _watchers[owner] = (*_watchers.get(owner, ()), watcher)


def remove(owner: nn.Module, watcher: Watcher) -> None:
    """Remove a watcher from a module."""
    remaining = tuple(one for one in _watchers.get(owner, ()) if one is not watcher)
    if remaining:
        _watchers[owner] = remaining
    else:
        _watchers.pop(owner, None)


def record_of(owner: nn.Module, layer: int) -> Record | None:
    """The record for a call of one layer of a module; None if it is not watched."""
    # A compiled graph outlives a watch, so it must not contain records; `check_not_watched` raises when it runs.
    if not _entries or torch.compiler.is_compiling():
        return None
    watchers = _watchers.get(owner, ())
    return Record(tuple(watcher.sink(owner, layer) for watcher in watchers)) if watchers else None


def is_watched(owner: nn.Module) -> bool:
    """Whether a module is watched."""
    return bool(_entries) and owner in _watchers


def check_not_watched(parameters: Sequence[Tensor]) -> None:
    """Raise if the layer with these parameters is watched, for calls that cannot be recorded.

    Raises:
        ValueError: with the reason.
    """
    if not _watchers:
        return
    addresses = {tensor.data_ptr() for tensor in parameters}
    for owner in list(_watchers):
        if any(parameter.data_ptr() in addresses for parameter in owner.parameters()):
            raise ValueError(COMPILED)
