"""A stream: a layer run over steps as they come."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from gatewise.kernels import PackedWeights, step_on_cpu, weight_words
from gatewise.layers.base import RecurrentBase
from gatewise.layers.fast_path import dense_weights, fits_reset, fits_states, plain_step, sizes_of_step
from gatewise.layers.validation import State


class Stream(Iterator[Tensor]):
    """The outputs of a layer for steps of input as they come, one for each; made by `Recurrent.stream`.

    It is for one thread, as any iterator; any number of streams may run on one layer at once, each with a state of its
    own. With gradients off each packs the layer's weights at its first step and holds them, until `Recurrent.refresh`.
    """

    def __init__(
        self,
        layer: RecurrentBase,
        step: Callable[..., tuple[Tensor, State]],
        inputs: Iterable[Tensor],
        state: State | None,
        reset: Iterable[Tensor | None] | None,
    ) -> None:
        self._layer, self._step = layer, step
        self._inputs = iter(inputs)
        self._flags = None if reset is None else iter(reset)
        self._state = state
        self._slot: _Slot | None = None  # holds the state in place of ``_state``

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        x_t = next(self._inputs)
        reset = None if self._flags is None else self._next_flags(self._flags)
        layer, slot = self._layer, self._slot
        if isinstance(x_t, Tensor) and plain_step(layer, x_t):
            if slot is None or not slot.serves(layer, x_t):
                slot = _slot_for(layer, x_t, self._current())
            if slot is not None and (output := slot.step(x_t, reset)) is not None:
                self._slot = slot
                return output
        output, self._state = self._step(x_t, self._current(), reset=reset)
        self._slot = None
        return output

    @property
    def state(self) -> State | None:
        """The state after the steps so far, of the form that `Recurrent.step` returns; None is zero.

        A copy, which stays as it is when the stream continues. Assign a state to continue from that, None to start
        anew.
        """
        state = self._current()
        if isinstance(state, Tensor):
            return state.clone()
        return None if state is None else tuple([one.clone() for one in state])

    @state.setter
    def state(self, state: State | None) -> None:
        self._state, self._slot = state, None

    def _current(self) -> State | None:
        slot = self._slot
        if slot is None:
            return self._state
        if self._state is not None:
            self._state = None
        return slot.state[0] if len(slot.state) == 1 else slot.state

    @staticmethod
    def _next_flags(flags: Iterator[Tensor | None]) -> Tensor | None:
        try:
            return next(flags)
        except StopIteration:
            raise ValueError(
                "reset: expected flags for every step, got fewer than there are steps; "
                "pass (B,) bool, or None, for each, or reset=None"
            ) from None


class _Slot:
    """Where a stream keeps its state and the packed weights.

    Arguments:
        layer: the layer.
        weights: of all layers of the stack, of which copies are held.
        shape: of x_t.
        state: the initial state, copied; none at all are zeros.
    """

    __slots__ = (
        "_cell",
        "_generation",
        "_output",
        "_packed",
        "_shape",
        "_sizes",
        "_spare",
        "_words",
        "dtype",
        "state",
    )

    def __init__(self, layer: RecurrentBase, weights: Sequence[Tensor], x_t: Tensor, state: tuple[Tensor, ...]) -> None:
        self._cell, self._shape = layer.cell, x_t.shape
        self._packed = PackedWeights() if layer._packed is None else layer._packed[-1]
        self._words, self._sizes = weight_words(self._packed.values(weights)), sizes_of_step(layer, x_t)
        self._generation, self.dtype = layer._generation, x_t.dtype
        self._output = x_t.new_empty((*x_t.shape[:-1], layer.hidden_size))
        if state:
            self.state = tuple([one.clone() for one in state])
        else:
            shape = (layer.num_layers, *self._output.shape)
            self.state = tuple([x_t.new_zeros(shape) for _ in layer.cell.states])
        self._spare = tuple([torch.empty_like(one) for one in self.state])

    def serves(self, layer: RecurrentBase, x_t: Tensor) -> bool:
        """Whether a step like this one continues here."""
        return x_t.shape == self._shape and x_t.dtype is self.dtype and layer._generation == self._generation

    def step(self, x_t: Tensor, reset: Tensor | None) -> Tensor | None:
        """The output of a step, after which the state is that after it; None for anything unusual."""
        if reset is not None and not fits_reset(reset, self._shape[:-1]):
            return None
        output, before, after = torch.empty_like(self._output), self.state, self._spare
        if not step_on_cpu(self._cell, self._sizes, x_t, output, before, after, self._words, reset, self._packed):
            return None
        self.state, self._spare = after, before
        return output


def _slot_for(layer: RecurrentBase, x_t: Tensor, state: State | None) -> _Slot | None:
    weights = dense_weights(layer, x_t.dtype)
    if weights is None:
        return None
    initial = () if state is None else state if isinstance(state, tuple) else (state,)
    count, shape = len(layer.cell.states), (layer.num_layers, *x_t.shape[:-1], layer.hidden_size)
    if initial and (isinstance(state, tuple) != (count > 1) or not fits_states(initial, count, shape, x_t.dtype)):
        return None
    return _Slot(layer, weights, x_t, initial)
