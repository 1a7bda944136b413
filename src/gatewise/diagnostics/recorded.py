"""One call of one layer, as it was recorded."""

import math
import weakref
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels import Call, Choice


class Place(NamedTuple):
    """Where in a model a recorded value belongs.

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


def row_norms(values: Tensor) -> Tensor:
    """The norm of each row (…, H), also where squares would leave the range of the numbers."""
    norms = torch.linalg.vector_norm(values, dim=-1)
    if not norms.numel():
        return norms
    info = torch.finfo(norms.dtype)
    low, high = info.tiny**0.5 / info.eps, info.max**0.5
    smallest, largest = torch.aminmax(norms)
    # Where squares are lost, or would be infinite, the rows are scaled first; NaN stays what it is.
    if not (smallest.item() >= low and largest.item() <= high):
        unsure = (norms < low) | (norms > high)
        rows = values[unsure]
        largest = rows.abs().amax(dim=-1, keepdim=True)
        largest = torch.where((largest > 0) & largest.isfinite(), largest, torch.ones_like(largest))
        norms[unsure] = torch.linalg.vector_norm(rows / largest, dim=-1) * largest[..., 0]
    return norms


class RecordedCall:
    """What one call of one layer left behind; the sink that backends write to.

    Attributes:
        module, layer: whose call it is.
        call: its arguments, without their history. Held by reference, so the memory of its input is held too.
        choice: the backend that ran it, and why.
        gradient_norms: (D, S, T, B) the norm over units of the whole gradient of each state after each step; 0 in
            padding, and before a backward pass.
        output_norms: (D, T, B) the norm over units of the output of each direction.
        has_gradients: whether a backward pass has reached it.
        ear: who listens for the gradients.
        state_values, state_gradients: (D, S, T, B, H) when all is kept, or None.
    """

    def __init__(self, listener: "Listener", module: str, layer: int, keep_all: bool) -> None:
        self._listener = listener
        self.module, self.layer, self.keep_all = module, layer, keep_all
        self.has_gradients = self.with_history = False
        self.state_values: Tensor | None = None
        self.state_gradients: Tensor | None = None
        self.weights: tuple[Tensor, ...] | None = None
        self.ear: weakref.ref[Ear] | None = None
        self._x_version: int | None = None

    @property
    def wants_states(self) -> bool:
        """Whether backends are to hand over the states."""
        return self.keep_all

    @property
    def carried_in(self) -> bool:
        """Whether it started from a state that is not zero and has no history."""
        return any(bool(state.any()) for state in self._without_history)

    @property
    def all_finite(self) -> bool:
        """Whether all norms are finite, padding included; False where only their sum is too large."""
        return math.isfinite(float(self.gradient_norms.sum() + self.output_norms.sum()))

    @property
    def abandoned(self) -> bool:
        """Whether it has a history that no backward pass has reached, or can reach any more."""
        return self.with_history and not self.has_gradients and self.ear is not None and self.ear() is None

    @property
    def steps(self) -> int:
        """T."""
        return self.call.x.shape[0]

    @property
    def rows(self) -> int:
        """B."""
        return self.call.x.shape[1]

    @property
    def places(self) -> list[Place]:
        """Of its directions."""
        names = {"bidirectional": ("forward", "reverse")}.get(self.call.directions, (self.call.directions,))
        return [Place(self.module, self.layer, name) for name in names]

    def begin(self, call: Call, choice: Choice) -> None:
        """A backend is about to run the call."""
        self.with_history = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors)
        self._without_history = [state.detach() for state in call.initial if not state.requires_grad]
        self._held = call.parameters
        self.call = replace(
            call,
            x=call.x.detach(),
            initial=tuple([state.detach() for state in call.initial]),
            parameters=tuple([parameter.detach() for parameter in call.parameters]),
            record=None,
        )
        self._x_version = None if call.x.is_inference() else call.x._version
        self.choice = choice
        shape = call.direction_count, len(call.cell.states), *call.x.shape[:2]
        self.gradient_norms = torch.zeros(shape, dtype=_norm_dtype(call.x.dtype), device=call.x.device)
        if self.keep_all:
            self.state_values = call.x.new_zeros((*shape, call.hidden_size)).detach()
        self._listener.began(self)

    def end(self, output: Tensor) -> None:
        """A backend has run the call."""
        sides = output.unflatten(-1, (self.call.direction_count, self.call.hidden_size))
        self.output_norms = row_norms(sides.to(self.gradient_norms.dtype)).permute(2, 0, 1)

    def states(self, direction: int, state: int, first: int, values: Tensor, index: Tensor | None) -> None:
        """States after each step, for all that is kept."""
        assert self.state_values is not None
        _put(self.state_values[direction, state].flatten(0, 1)[None], first, values[None], index)

    def gradients(self, direction: int, state: int | None, first: int, values: Tensor, index: Tensor | None) -> None:
        """The whole gradient of a state, or of all, after each step."""
        if not self.has_gradients:
            self.has_gradients = True
            self._listener.reached(self)
        which, values = (slice(None), values) if state is None else (slice(state, state + 1), values[:, None])
        norms = self.gradient_norms[direction, which].flatten(1)
        _put(norms, first, row_norms(values.to(norms.dtype)).t(), index)
        if self.keep_all:
            if self.state_gradients is None:
                assert self.state_values is not None
                self.state_gradients = torch.zeros_like(self.state_values)
            _put(self.state_gradients[direction, which].flatten(1, 2), first, values.transpose(0, 1), index)

    def keep_weights(self, copies: dict[int, Tensor]) -> None:
        """Hold the weights as they are now, before somebody writes to them; equal ones are copied once."""
        if self.weights is None:
            for one in self._held:
                if id(one) not in copies:
                    copies[id(one)] = one.detach().clone()
            self.weights = tuple(copies[id(one)] for one in self._held)
            self.call = self.call.with_tensors((self.call.x, *self.call.initial, *self.weights))
            self._held = ()

    def uses(self, parameters: set[int]) -> bool:
        """Whether one of these tensors, by id, is a weight that is not held yet."""
        return any(id(one) in parameters for one in self._held)

    def asked_again(self) -> Call:
        """The call, to compute from it what was not kept.

        Raises:
            ValueError: when its input was written to since.
        """
        x = self.call.x
        if self._x_version is not None and x._version != self._x_version:
            raise ValueError(
                f"the input of {self.places[0]} was written to in place after the call, so what the layer did with it "
                "cannot be shown; ask before that, or give the layer a copy"
            )
        return self.call

    @property
    def valid(self) -> Tensor:
        """(T, B) bool, false in padding."""
        steps = torch.arange(self.steps, device=self.call.x.device)[:, None]
        lengths = self.call.lengths
        if lengths is None:
            return torch.ones((self.steps, self.rows), dtype=torch.bool, device=self.call.x.device)
        return steps < lengths


class Ear:
    """The sink of a recorded call that backends hold; when it is gone, no backward pass can reach the call."""

    def __init__(self, call: RecordedCall) -> None:
        self._call = call
        self.begin, self.end, self.states, self.gradients = call.begin, call.end, call.states, call.gradients
        call.ear = weakref.ref(self)

    @property
    def wants_states(self) -> bool:
        """Whether backends are to hand over the states."""
        return self._call.wants_states


class Listener:
    """Who is told when a call begins and when a backward pass reaches it."""

    def began(self, call: RecordedCall) -> None:
        """The call is about to be run."""

    def reached(self, call: RecordedCall) -> None:
        """The first gradients of a call have come."""


def _norm_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _put(to: Tensor, first: int, values: Tensor, index: Tensor | None) -> None:
    """Put (S, n, …) into (S, T·B, …)."""
    if index is None and values.shape[1] == to.shape[1]:
        to.copy_(values)
    elif index is None:
        to[:, first : first + values.shape[1]] = values
    else:
        to.index_copy_(1, index if first == 0 else index + first, values)
