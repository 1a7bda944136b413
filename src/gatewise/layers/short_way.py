"""A layer's short way: with gradients off, on the fused kernels, at little more than the arithmetic.

It is for weights that stay as they are, inside `frozen` and in a stream: what is laid out holds them packed. It is for
single steps, and for sequences that are short or narrow. Whatever is unusual is left to the long way: what is
not as expected here is None, and that way says what is wrong, if anything is. Both compute the same bits; of ragged
rows the same to rounding, as products with x are made of all of them here, and there of the valid ones alone.

A step takes the engine less time than a few lines of Python, so what is called for every step is written for the
interpreter: it calls little, and looks up nothing twice.
"""

from array import array
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, empty_like, get_num_threads, is_grad_enabled, nn
from torch._C import _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from gatewise.kernels import (
    MOST_AT_ONCE,
    Call,
    Frame,
    LaidOut,
    UnchangedWeights,
    any_frozen_weights,
    are_frozen_weights,
    backend_for,
    can_be_laid_out,
    empty,
    is_traced,
    lay_out,
    shared_by,
)
from gatewise.kernels.plain import is_plain
from gatewise.kernels.recording import is_watched
from gatewise.layers.inputs import State

if TYPE_CHECKING:
    from gatewise.layers.recurrent import Recurrent

# With more rows than this the arithmetic takes far longer than the long way to it.
MOST_ROWS = 64
# Bytes that are held for the values between the layers, and between their products and the time loop.
MOST_BYTES = 1 << 22
# Numbers of steps for which it is known how they are shared out among threads.
MOST_LENGTHS = 256

_STATES = Frame.FIRST_STATE
BACKENDS = ("auto", "cpu")
PLAIN = (Tensor, nn.Parameter)


class ShortWay:
    """The short way of a layer for inputs of one shape but for time.

    Arguments:
        weights: those that it is laid out for.
        calls: of the layers, of each direction one, each of one step.
        backend: what the layer's user asks for.
        shape: of x_t.
    """

    __slots__ = (
        "_calls",
        "_count",
        "_directions",
        "_laid_out",
        "_lengths",
        "_rows",
        "_several",
        "_shape",
        "_single",
        "_zeros",
        "backend",
        "dtype",
        "output",
        "threads",
        "weights",
        "x_shape",
    )

    def __init__(
        self, weights: UnchangedWeights, calls: Sequence[Sequence[Call]], backend: str, shape: torch.Size
    ) -> None:
        self._calls, first, self._directions = calls, calls[0][0], len(calls[0])
        self._single: LaidOut | None = None
        self._laid_out: dict[Hashable, LaidOut] = {}
        self._lengths: dict[tuple[int, bool], tuple[LaidOut, int] | None] = {}
        self.weights, self.backend, self.threads, self.x_shape = weights, backend, get_num_threads(), shape
        self._rows, hidden, self.dtype = shape[:-1], first.hidden_size, first.x.dtype
        # These have the shape of what a step returns; they are never written to.
        self.output = torch.zeros((*self._rows, hidden), dtype=self.dtype, device="cpu")
        zeros = torch.zeros((len(calls) * self._directions, *self._rows, hidden), dtype=self.dtype, device="cpu")
        self._count = len(first.cell.states)
        self._shape, self._zeros, self._several = zeros.shape, (zeros,) * self._count, self._count > 1

    def serves(self, layer: "Recurrent") -> bool:
        """Whether everything still is as it was when it was laid out."""
        return (
            self.weights.hold(layer._parameters) and layer.backend == self.backend and get_num_threads() == self.threads
        )

    def step(self, x_t: Tensor, state: State | None, reset: Tensor | None) -> tuple[Tensor, State] | None:
        """Output and state, as `Recurrent.step` returns them."""
        states: Any = self._zeros if state is None else state if self._several else (state,)
        if (
            (state is not None and not fits(states, self._count, self._shape, self.dtype))
            or x_t.dtype is not self.dtype
            or not x_t.is_contiguous()
            or not is_plain(x_t)
            or not x_t.is_cpu
            or (reset is not None and not self.takes(reset))
        ):
            return None
        output, after = empty_like(self.output), tuple(map(empty_like, self._zeros))
        single = self._single or self._for_single_steps()
        try:
            frame = single.free.pop()
        except IndexError:
            frame = single.frame(1)
        given = frame.given
        given[0], given[1] = x_t.data_ptr(), output.data_ptr()
        at = _STATES
        for one in states:
            given[at] = one.data_ptr()
            at += 1
        for one in after:
            given[at] = one.data_ptr()
            at += 1
        if reset is not None or frame.play():
            frame.run(reset)
        single.free.append(frame)
        return output, after if self._several else after[0]

    def sequence(
        self, x: Tensor, steps: int, state: State | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State] | None:
        """Output and state, as `Recurrent.forward` returns them.

        Arguments:
            x: (T, B, I) or (T, I); or (B, T, I) of one row or one step.
            steps: T.
            state: the initial one.
            lengths: (B,), if rows have some; then x is (T, B, I).
        """
        ragged = lengths is not None
        try:
            known = self._lengths[steps, ragged]
        except KeyError:
            known = self._length(steps, ragged)
        states: Any = self._zeros if state is None else state if self._several else (state,)
        if (
            known is None
            or (state is not None and not fits(states, self._count, self._shape, self.dtype))
            or x.dtype is not self.dtype
            or not x.is_contiguous()
            or not is_plain(x)
            or not x.is_cpu
            or (lengths is not None and not self._are_lengths(lengths))
        ):
            return None
        laid_out, product_slices = known
        output = empty((*x.shape[:-1], self._directions * self._shape[-1]), self.dtype)
        after = tuple(map(empty_like, self._zeros))
        try:
            frame = laid_out.free.pop()
        except IndexError:
            frame = laid_out.frame(steps)
        if frame.capacity < steps:
            frame = laid_out.frame(steps)
        rows = self._rows[0] if self._rows else 1
        given = frame.given
        of_lengths = 0 if lengths is None else lengths.data_ptr()
        given[:_STATES] = array("q", (x.data_ptr(), output.data_ptr(), steps, steps * rows, product_slices, of_lengths))
        for at, one in enumerate((*states, *after), _STATES):
            given[at] = one.data_ptr()
        done = frame.run()
        laid_out.free.append(frame)
        if not done:
            return None
        return output, after if self._several else after[0]

    def _are_lengths(self, lengths: Tensor) -> bool:
        """Whether lengths are as expected, but for their values."""
        return (
            type(lengths) is Tensor
            and lengths.dtype is torch.int64
            and lengths.is_cpu
            and lengths.is_contiguous()
            and lengths.shape == self._rows
        )

    def _length(self, steps: int, ragged: bool) -> tuple[LaidOut, int] | None:
        """What runs so many steps, and on how many threads their products are made; None for too long a sequence."""
        first, known = self._calls[0][0], None
        rows = first.x.shape[1]
        parameters = [one for calls in self._calls for call in calls for one in call.parameters]
        work = steps * rows * sum(one.numel() for one in parameters)
        shared, product_slices = shared_by(first, steps, self._directions)
        if steps == 1 and not ragged:
            known = self._for_single_steps(), product_slices
        elif steps and work <= MOST_AT_ONCE:
            key = shared, ragged, steps == 1
            if key not in self._laid_out:
                calls = self._calls
                if steps > 1:
                    calls = [[replace(call, x=call.x.expand(2, -1, -1)) for call in own] for own in calls]
                self._laid_out[key] = lay_out(calls, shared, ragged=ragged)
            laid_out = self._laid_out[key]
            if steps * laid_out.bytes_per_step <= MOST_BYTES:
                known = laid_out, product_slices
        if len(self._lengths) == MOST_LENGTHS:
            self._lengths.clear()
        self._lengths[steps, ragged] = known
        return known

    def _for_single_steps(self) -> LaidOut:
        if self._single is None:
            self._single = lay_out(self._calls, shared_by(self._calls[0][0], 1, self._directions)[0])
        return self._single

    def follow(self, state: State) -> "Lane":
        """A place for a stream that goes on from a state that `step` returned, which nobody else may hold."""
        return Lane(self, self._for_single_steps().frame(1), state if isinstance(state, tuple) else (state,))

    def takes(self, reset: Tensor) -> bool:
        """Whether flags are as expected."""
        return type(reset) is Tensor and reset.dtype is torch.bool and reset.shape == self._rows


class Lane:
    """A stream's own place: its state goes to and fro between memory that nobody else sees.

    Arguments:
        way: what runs the steps.
        frame: for this lane alone.
        state: the state to go on from, in memory of its own.
    """

    __slots__ = ("_after", "_before", "_frame", "_there_and_back", "way")

    def __init__(self, way: ShortWay, frame: Frame, state: tuple[Tensor, ...]) -> None:
        self.way, self._frame = way, frame
        self._before, self._after = state, tuple(map(empty_like, state))
        there, back = ([one.data_ptr() for one in states] for states in (self._before, self._after))
        self._there_and_back = array("q", there + back), array("q", back + there)

    def step(self, x_t: Tensor, reset: Tensor | None) -> Tensor | None:
        """The output, as `Recurrent.step` returns it; then the state is that after the step."""
        way, frame = self.way, self._frame
        if (
            x_t.dtype is not way.dtype
            or not x_t.is_contiguous()
            or not is_plain(x_t)
            or not x_t.is_cpu
            or (reset is not None and not way.takes(reset))
        ):
            return None
        output = empty_like(way.output)
        there, back = self._there_and_back
        given = frame.given
        given[0], given[1] = x_t.data_ptr(), output.data_ptr()
        given[_STATES:-1] = there
        frame.run(reset)
        self._there_and_back = back, there
        self._before, self._after = self._after, self._before
        return output

    def state(self) -> State:
        """The state itself: to be copied, or to go on from instead of here."""
        (first, *others) = self._before
        return self._before if others else first


def fits(states: Any, count: int, shape: torch.Size, dtype: torch.dtype) -> bool:
    """Whether states are ordinary tensors of the number and form that is expected, dense too."""
    if not isinstance(states, tuple) or len(states) != count:
        return False
    for one in states:
        if (
            type(one) not in PLAIN
            or one.dtype is not dtype
            or one.shape != shape
            or not one.is_contiguous()
            or not one.is_cpu
            or not is_plain(one)
        ):
            return False
    return True


def nothing_between(x: Tensor) -> bool:
    """Whether nothing stands between ordinary tensors and their operations: no mode, no trace, no transform."""
    return not (
        is_compiling()
        or _len_torch_function_stack()
        or is_traced()
        or peek_interpreter_stack()
        or forward_ad._current_level >= 0
        or type(x) not in PLAIN
    )


def may_be_short(layer: "Recurrent", x: Tensor) -> bool:
    """Whether a call is of the kind that can be laid out beforehand, but for shapes."""
    return not (
        is_grad_enabled()
        or not nothing_between(x)
        or is_watched(layer)
        or (layer.dropout and layer.training and layer.num_layers > 1)
    )


def short_way_of(layer: "Recurrent", x: Tensor, shape: torch.Size | None = None) -> ShortWay | None:
    """The short way of a layer whose weights are frozen for the next call.

    Arguments:
        layer: whose.
        x: the input.
        shape: of one step of it, when it is of several.
    """
    known = layer._short_ways
    if not any_frozen_weights():
        if known:
            known.clear()
        return None
    if not may_be_short(layer, x):
        return None
    if shape is None:
        shape = x.shape
    way = known.get(shape)
    if way is not None and way.serves(layer):
        return way
    known.pop(shape, None)
    find = layer._parameters.get
    if (
        are_frozen_weights(find(name) for names in layer._names for name in names)
        and (weights := weights_now(layer)) is not None
        and (way := lay_out_layer(layer, shape, weights)) is not None
    ):
        known[shape] = way
        return way
    return None


def weights_now(layer: "Recurrent") -> UnchangedWeights | None:
    """By what changes of a layer's weights are noticed; None when nothing shows them."""
    return UnchangedWeights.of(layer._parameters, (name for names in layer._names for name in names))


def lay_out_layer(layer: "Recurrent", shape: torch.Size, weights: UnchangedWeights) -> ShortWay | None:
    """Get ready to lay a layer out for its weights of now; None when it has no short way.

    Arguments:
        layer: whose.
        shape: of one step of its input.
        weights: tells of changes.
    """
    rows = 1 if len(shape) == 1 else shape[0]
    if (
        layer.backend not in BACKENDS
        or len(shape) not in (1, 2)
        or shape[-1] != layer.input_size
        or not 0 < rows <= MOST_ROWS
        or (layer.bidirectional and layer.merge != "concat")
    ):
        return None
    calls: list[list[Call]] = []
    width, directions = layer.input_size, 1 + layer.bidirectional
    for names in layer._names:
        parameters: tuple[Tensor, ...] = tuple([getattr(layer, name) for name in names])
        dtype = parameters[0].dtype
        if not all(
            type(one) in PLAIN and is_plain(one) and one.is_contiguous() and one.dtype == dtype for one in parameters
        ):
            return None
        x = torch.zeros((1, rows, width), dtype=dtype, device="cpu")
        initial = (torch.zeros((directions, rows, layer.hidden_size), dtype=dtype, device="cpu"),) * len(
            layer.cell.states
        )
        call = Call(layer.cell, x, initial, parameters, None, None, layer._directions)
        calls.append(call.single_directions())
        width = directions * layer.hidden_size
    if backend_for(calls[0][0], backend=layer.backend).name != "cpu" or not can_be_laid_out(layer.cell):
        return None
    return ShortWay(weights, calls, layer.backend, shape)
