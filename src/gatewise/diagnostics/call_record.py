"""The record of one call of one layer."""

import math
import weakref
from collections.abc import Container
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.diagnostics.loss_steps import LossSteps
from gatewise.kernels import Call, Choice, Directions
from gatewise.kernels.norms import norm_dtype


class Location(NamedTuple):
    """A layer and direction of a model.

    Attributes:
        module: the name of the recurrent module; empty for the model itself.
        layer: its layer.
        direction: ``forward`` or ``reverse``.
    """

    module: str
    layer: int
    direction: str

    def __str__(self) -> str:
        stem = f"{self.module}." if self.module else ""
        return f"{stem}l{self.layer}{'_reverse' if self.direction == 'reverse' else ''}"


class CallRecord:
    """The record of one call of one layer; the sink that backends write to.

    Attributes:
        module, layer: the layer called.
        cell: the equations.
        x, initial: its input and initial states, detached. Held by reference, so their memory stays allocated.
        choice: the backend that ran it, and why.
        all_finite: whether all outputs and gradients are finite, padding included; may be False if their sum or sum of
            squares overflows.
        finite_output: (D, T, B) whether all units of the output of each direction are finite; None if all are.
        has_gradients: whether a backward pass has reached it.
        sink: weak reference to the sink that backends hold.
        state_values, state_gradients: (D, T, B, H) of each state if everything is recorded, or None.
        output_steps: (D, T, B) of each step of the module's output the step of this call, see `Call`; or None.
        loss_steps: where losses enter the module, in the call of its highest layer; None if not observed.
    """

    def __init__(self, observer: "CallObserver", module: str, layer: int, keep_all: bool) -> None:
        self._observer = observer
        self.module, self.layer, self.keep_all = module, layer, keep_all
        self.has_gradients = self.with_history = self._owns_weights = False
        self.all_finite = True
        self.finite_output: Tensor | None = None
        self._norms: Tensor | None = None  # (D, T·B, S)
        self.state_values: list[Tensor] | None = None
        self.state_gradients: list[Tensor] | None = None
        self.sink: weakref.ref[CallSink] | None = None
        self.loss_steps: LossSteps | None = None
        self.output_steps: Tensor | None = None
        self._x_version: int | None = None

    @property
    def wants_values(self) -> bool:
        """Whether backends should pass states and gradients."""
        return self.keep_all

    @property
    def carried_in(self) -> bool:
        """Whether an initial state is not zero and has no history."""
        return any(
            not has_history and bool(state.any())
            for state, has_history in zip(self.initial, self._have_history, strict=True)
        )

    @property
    def has_history(self) -> bool:
        """Whether gradients propagate through an initial state."""
        return any(self._have_history)

    @property
    def reset(self) -> Tensor | None:
        """(T, B) bool, the boundaries inside rows."""
        return self._reset

    @property
    def gradient_norms(self) -> Tensor:
        """The norm over units of the total gradient of each state after each step, (D, S, T, B).

        It is 0 in padding, and before a backward pass.
        """
        dtype = norm_dtype(self.x.dtype)
        norms = self._no_norms(dtype) if self._norms is None else self._norms.to(dtype)
        return norms.transpose(1, 2).unflatten(-1, (self.steps, self.rows))

    def _no_norms(self, dtype: torch.dtype) -> Tensor:
        shape = self.direction_count, self.steps * self.rows, len(self.cell.states)
        return torch.zeros(shape, dtype=dtype, device=self.x.device)

    @property
    def abandoned(self) -> bool:
        """Whether it has a history that no backward pass has reached, or can still reach."""
        return self.with_history and not self.has_gradients and self.sink is not None and self.sink() is None

    @property
    def steps(self) -> int:
        """T."""
        return self.x.shape[0]

    @property
    def rows(self) -> int:
        """B."""
        return self.x.shape[1]

    @property
    def direction_count(self) -> int:
        """D."""
        return 2 if self._directions == "bidirectional" else 1

    @property
    def locations(self) -> list[Location]:
        """The locations of its directions."""
        names = {"bidirectional": ("forward", "reverse")}.get(self._directions, (self._directions,))
        return [Location(self.module, self.layer, name) for name in names]

    def begin(self, call: Call, choice: Choice) -> None:
        """Called before a backend runs the call."""
        self.with_history = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors)
        self._have_history = [state.requires_grad for state in call.initial]
        self._directions: Directions = call.directions
        self.cell, self._lengths, self._reset = call.cell, call.lengths, call.reset
        self._masks = call.masks
        self.x = x = call.x.detach()
        self.initial = tuple([state.detach() for state in call.initial])
        self._parameters = call.parameters
        self._x_version = None if x.is_inference() else x._version
        self.choice, self.output_steps = choice, call.output_steps
        if self.keep_all:
            shape = call.direction_count, *x.shape[:2]
            self.state_values = [x.new_zeros((*shape, width)) for width in call.state_sizes]
        self._observer.began(self)

    def end(self, output: Tensor) -> None:
        """Called after a backend has run the call."""
        if not math.isfinite(output.sum(dtype=norm_dtype(output.dtype)).item()):
            sides = output.unflatten(-1, (self.direction_count, -1))
            finite = sides.isfinite().all(dim=-1).permute(2, 0, 1)
            if not finite.all():
                self.finite_output, self.all_finite = finite, False

    def states(self, direction: int, state: int, first: int, values: Tensor, index: Tensor | None) -> None:
        """Receives the states after each step, if everything is recorded."""
        assert self.state_values is not None
        _put(self.state_values[state][direction].flatten(0, 1)[None], first, values[None], index)

    def gradients(
        self, direction: int, state: int | None, first: int, norms: Tensor, values: Tensor | None, index: Tensor | None
    ) -> None:
        """Receives the norm of the total gradient of one or all states, and the gradients if everything is recorded."""
        if not self.has_gradients:
            self.has_gradients = True
            self._observer.reached(self)
        which = slice(None) if state is None else slice(state, state + 1)
        norms = norms if state is None else norms[:, None]
        self.all_finite &= norms.shape[0] == 0 or math.isfinite(norms.max().item())
        if state is None and index is None and norms.shape[0] == self.steps * self.rows and self.direction_count == 1:
            self._norms = norms[None]
        else:
            if self._norms is None:
                self._norms = self._no_norms(norms.dtype)
            _put(self._norms[direction][:, which].t(), first, norms.t(), index)
        if values is not None:
            if self.state_gradients is None:
                assert self.state_values is not None
                self.state_gradients = [torch.zeros_like(one) for one in self.state_values]
            of_states = values.unbind(1) if state is None else [values]
            for to, own in zip(self.state_gradients[which], of_states, strict=True):
                _put(to[direction].flatten(0, 1)[None], first, own[None], index)

    def keep_weights(self, copies: dict[int, Tensor]) -> None:
        """Copy the weights before they are written to; shared ones are copied once."""
        if not self._owns_weights:
            for one in self._parameters:
                if id(one) not in copies:
                    copies[id(one)] = one.detach().clone()
            self._parameters = tuple([copies[id(one)] for one in self._parameters])
            self._owns_weights = True

    def uses(self, parameters: Container[int]) -> bool:
        """Whether one of these tensors, by id, is a weight that is not copied yet."""
        return not self._owns_weights and any(id(one) in parameters for one in self._parameters)

    def recompute_call(self) -> Call:
        """The call, to recompute values that were not recorded.

        Raises:
            ValueError: when its input was modified in place since.
        """
        x = self.x
        if self._x_version is not None and x._version != self._x_version:
            raise ValueError(
                f"the input of {self.locations[0]} was modified in place after the call, so its states and gates "
                "cannot be recomputed; measure before that, or pass the layer a copy"
            )
        parameters = tuple(parameter.detach() for parameter in self._parameters)
        call = Call(self.cell, x, self.initial, parameters, self._lengths, self._reset, self._directions)
        call.masks = self._masks
        return call

    @property
    def valid(self) -> Tensor:
        """(T, B) bool, false in padding."""
        if self._lengths is None:
            return torch.ones((self.steps, self.rows), dtype=torch.bool, device=self.x.device)
        return torch.arange(self.steps, device=self.x.device)[:, None] < self._lengths


class CallSink:
    """The sink of a call record that backends hold; once freed, no backward pass can reach the call."""

    def __init__(self, call: CallRecord) -> None:
        self._call = call
        self.begin, self.end, self.states, self.gradients = call.begin, call.end, call.states, call.gradients
        call.sink = weakref.ref(self)

    @property
    def wants_values(self) -> bool:
        """Whether backends should pass states and gradients."""
        return self._call.wants_values


class CallObserver:
    """Notified when a call begins and when a backward pass reaches it."""

    def began(self, call: CallRecord) -> None:
        """Called before the call runs."""

    def reached(self, call: CallRecord) -> None:
        """Called with the first gradients of a call."""


def _put(to: Tensor, first: int, values: Tensor, index: Tensor | None) -> None:
    """Copy (S, n, …) into (S, T·B, …)."""
    if index is None and values.shape[1] == to.shape[1]:
        to.copy_(values)
    elif index is None:
        to[:, first : first + values.shape[1]] = values
    else:
        to.index_copy_(1, index if first == 0 else index + first, values)
