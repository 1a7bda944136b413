"""Single steps of a layer by a short way: with gradients off, on the fused kernels, at little more than the arithmetic.

Whatever is unusual is left to the way that sequences take: what is not as expected here is None, and that way says what
is wrong, if anything is. Both compute the same bits.

A step takes the engine less time than a few lines of Python, so what is called for every step is written for the
interpreter: it calls little, and looks up nothing twice.
"""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, empty_like, get_num_threads, is_grad_enabled, nn
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from gatewise.kernels import Call, StepFrame, Stepper, UnchangedWeights, backend_for, stepper
from gatewise.kernels.recording import is_watched
from gatewise.layers.inputs import State

if TYPE_CHECKING:
    from gatewise.layers.recurrent import Recurrent

# With more rows than this the arithmetic takes far longer than the long way to it.
MOST_ROWS = 64

_BACKENDS = ("auto", "cpu")
_PLAIN = (Tensor, nn.Parameter)


class Steps:
    """The steps of a layer on an input of one shape.

    Arguments:
        laid_out: the stack.
        weights: those that it is laid out for.
        calls: of the layers.
        backend: what the layer's user asks for.
        shape: of x_t.
    """

    __slots__ = (
        "_count",
        "_free",
        "_laid_out",
        "_returned",
        "_rows",
        "_several",
        "_shape",
        "_zeros",
        "backend",
        "dtype",
        "output",
        "threads",
        "weights_hold",
    )

    def __init__(
        self, laid_out: Stepper, weights: UnchangedWeights, calls: Sequence[Call], backend: str, shape: torch.Size
    ) -> None:
        self._laid_out, self._free = laid_out, laid_out.free
        self.weights_hold, self.backend, self.threads = weights.hold, backend, get_num_threads()
        self._rows, hidden, self.dtype = shape[:-1], calls[0].hidden_size, calls[0].x.dtype
        # These have the shape of what a step returns; they are never written to.
        self.output = torch.zeros((*self._rows, hidden), dtype=self.dtype)
        zeros = torch.zeros((len(calls), *self._rows, hidden), dtype=self.dtype)
        self._shape, self._count = zeros.shape, len(calls[0].cell.states)
        self._zeros, self._several = (zeros,) * self._count, self._count > 1
        self._returned = (self.output, *self._zeros)

    def step(self, x_t: Tensor, state: State | None, reset: Tensor | None) -> tuple[Tensor, State] | None:
        """Output and state, as `Recurrent.step` returns them."""
        states: Any = self._zeros if state is None else state if self._several else (state,)
        dtype, shape = self.dtype, self._shape
        if (
            not isinstance(states, tuple)
            or len(states) != self._count
            or x_t.dtype is not dtype
            or not x_t.is_contiguous()
            or not x_t.is_cpu
            or (reset is not None and not self.takes(reset))
        ):
            return None
        for one in states:
            if (
                type(one) not in _PLAIN
                or one.dtype is not dtype
                or one.shape != shape
                or not one.is_contiguous()
                or not one.is_cpu
            ):
                return None
        output, *after = map(empty_like, self._returned)
        try:
            frame = self._free.pop()
        except IndexError:
            frame = self._laid_out.frame()
        given = frame.given
        for at, one in enumerate((x_t, output, *states, *after)):
            given[at] = one.data_ptr()
        frame.run(reset)
        self._free.append(frame)
        return output, tuple(after) if self._several else after[0]

    def follow(self, state: State) -> "Lane":
        """A place for a stream that goes on from a state that `step` returned, which nobody else may hold."""
        return Lane(self, self._laid_out.frame(), state if isinstance(state, tuple) else (state,))

    def takes(self, reset: Tensor) -> bool:
        """Whether flags are as expected."""
        return type(reset) is Tensor and reset.dtype is torch.bool and reset.shape == self._rows


class Lane:
    """A stream's own place: its state goes to and fro between memory that nobody else sees.

    Arguments:
        steps: what runs the steps.
        frame: for this lane alone.
        state: the state to go on from, in memory of its own.
    """

    __slots__ = ("_after", "_before", "_frame", "_there_and_back", "steps")

    def __init__(self, steps: Steps, frame: StepFrame, state: tuple[Tensor, ...]) -> None:
        self.steps, self._frame = steps, frame
        self._before, self._after = state, tuple(map(empty_like, state))
        there, back = ([one.data_ptr() for one in states] for states in (self._before, self._after))
        self._there_and_back = array("q", there + back), array("q", back + there)

    def step(self, x_t: Tensor, reset: Tensor | None) -> Tensor | None:
        """The output, as `Recurrent.step` returns it; then the state is that after the step."""
        steps, frame = self.steps, self._frame
        if (
            x_t.dtype is not steps.dtype
            or not x_t.is_contiguous()
            or not x_t.is_cpu
            or (reset is not None and not steps.takes(reset))
        ):
            return None
        output = empty_like(steps.output)
        there, back = self._there_and_back
        given = frame.given
        given[0], given[1] = x_t.data_ptr(), output.data_ptr()
        given[2:-1] = there
        frame.run(reset)
        self._there_and_back = back, there
        self._before, self._after = self._after, self._before
        return output

    def state(self) -> State:
        """The state itself: to be copied, or to go on from instead of here."""
        (first, *others) = self._before
        return self._before if others else first


def steps_of(layer: "Recurrent", x_t: Tensor) -> Steps | None:
    """What runs the next step of a layer by the short way.

    The first step with new weights goes the long way, so that a layer whose weights change all the time is not laid out
    in vain.
    """
    if (
        is_grad_enabled()
        or is_compiling()
        # Nothing stands between tensors and their operations: no mode, no transform.
        or _len_torch_function_stack()
        or _len_torch_dispatch_stack()
        or peek_interpreter_stack()
        or forward_ad._current_level >= 0
        or type(x_t) not in _PLAIN
        or is_watched(layer)
        or (layer.dropout and layer.training and layer.num_layers > 1)
    ):
        return None
    try:
        steps = layer._steps[x_t.shape]
    except KeyError:
        return _laid_out(layer, x_t)
    if steps is None or (
        steps.weights_hold(layer._parameters) and layer.backend == steps.backend and get_num_threads() == steps.threads
    ):
        return steps
    return _laid_out(layer, x_t)


def _laid_out(layer: "Recurrent", x_t: Tensor) -> Steps | None:
    """Lay out a layer's steps, and keep that; or that its cell has none."""
    shape, backend, known = x_t.shape, layer.backend, layer._steps
    known.pop(shape, None)
    rows = 1 if len(shape) == 1 else shape[0]
    if (
        backend not in _BACKENDS
        or len(shape) not in (1, 2)
        or shape[-1] != layer.input_size
        or not 0 < rows <= MOST_ROWS
        or (weights := UnchangedWeights.of(layer._parameters, layer._names)) is None
    ):
        return None
    calls: list[Call] = []
    width = layer.input_size
    for parameters in layer.all_weights:
        dtype = parameters[0].dtype
        if not all(type(one) in _PLAIN and one.is_contiguous() and one.dtype == dtype for one in parameters):
            return None
        zeros = torch.zeros((1, rows, layer.hidden_size), dtype=dtype)
        x = torch.zeros((1, rows, width), dtype=dtype)
        initial = (zeros,) * len(layer.cell.states)
        calls.append(Call(layer.cell, x, initial, tuple(parameters), None, None, "forward"))
        width = layer.hidden_size
    if backend_for(calls[0], backend=backend).name != "cpu":
        return None
    laid_out = stepper(calls)
    known[shape] = None if laid_out is None else Steps(laid_out, weights, calls, backend, shape)
    return known[shape]
