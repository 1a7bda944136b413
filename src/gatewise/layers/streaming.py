"""A stream: a layer run over steps as they come."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from torch import Tensor

from gatewise.layers.inputs import State
from gatewise.layers.short_way import Lane, ShortWay, lay_out_layer, may_be_short, weights_now

if TYPE_CHECKING:
    from gatewise.kernels import UnchangedWeights
    from gatewise.layers.recurrent import Recurrent


class Stream(Iterator[Tensor]):
    """The outputs of a layer for steps of input as they come, one for each; made by `Recurrent.stream`.

    It is for one thread, as any iterator; any number of streams may run on one layer at once, each with a state of its
    own. With gradients off each holds its weights packed, from its second step on.
    """

    def __init__(
        self,
        layer: "Recurrent",
        inputs: Iterable[Tensor],
        state: State | None,
        reset: Iterable[Tensor | None] | None,
    ) -> None:
        self._layer = layer
        self._inputs = iter(inputs)
        self._flags = None if reset is None else iter(reset)
        self._state = state
        self._weights: UnchangedWeights | None = None  # those of the step before
        self._way: ShortWay | None = None
        self._lane: Lane | None = None  # holds the state in place of ``_state``

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        x_t = next(self._inputs)
        reset = None if self._flags is None else self._next_flags(self._flags)
        lane = self._lane
        if (way := self._way_for(x_t)) is not None:
            if lane is not None and lane.way is way:
                if (output := lane.step(x_t, reset)) is not None:
                    return output
            elif (done := way.step(x_t, self._current(), reset)) is not None:
                output, state = done
                self._lane, self._state = way.follow(state), None
                return output
        output, self._state = self._layer.step(x_t, self._current(), reset=reset)
        self._way = self._lane = None
        return output

    def _way_for(self, x_t: Tensor) -> ShortWay | None:
        """The short way for a step; None for the first one with new weights, which may change in every step."""
        layer, way = self._layer, self._way
        if not may_be_short(layer, x_t):
            self._weights = None
            return None
        if way is not None and way.x_shape == x_t.shape and way.serves(layer):
            return way
        before, self._weights = self._weights, weights_now(layer)
        if before is None or self._weights is None or not before.hold(layer._parameters):
            return None
        self._way = lay_out_layer(layer, x_t.shape, self._weights)
        return self._way

    @property
    def state(self) -> State | None:
        """The state after the steps so far, of the form that `Recurrent.step` returns; None is zero.

        A copy, which stays as it is when the stream goes on. Assign a state to go on from that, None to begin anew.
        """
        state = self._current()
        if isinstance(state, Tensor):
            return state.clone()
        return None if state is None else tuple([one.clone() for one in state])

    @state.setter
    def state(self, state: State | None) -> None:
        self._state, self._lane = state, None

    def _current(self) -> State | None:
        return self._state if self._lane is None else self._lane.state()

    @staticmethod
    def _next_flags(flags: Iterator[Tensor | None]) -> Tensor | None:
        try:
            return next(flags)
        except StopIteration:
            raise ValueError(
                "reset: expected flags for every step, got fewer than there are steps; "
                "pass (B,) bool, or None, for each, or reset=None"
            ) from None
