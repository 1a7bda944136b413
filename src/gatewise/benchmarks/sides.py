"""A side of a comparison: something that computes a point, and can be timed."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.benchmarks.given import Given, given, layer_of
from gatewise.benchmarks.loops import loop_for
from gatewise.benchmarks.points import Point
from gatewise.kernels.cpu.execution import LOOP, PRODUCTS_AFTER, PRODUCTS_BEFORE, phase_seconds

# By name: output; in training also the gradients of x and of every weight.
Results = dict[str, Tensor]

_TORCH = {"lstm": nn.LSTM, "gru_cudnn": nn.GRU, "rnn_tanh": nn.RNN}
_TORCH_CELLS = {"lstm": nn.LSTMCell, "gru_cudnn": nn.GRUCell, "rnn_tanh": nn.RNNCell}
# Unrolled over more steps than this, a loop takes minutes to compile.
COMPILED_STEPS = 50


class Side(Protocol):
    """What the harness needs of a side."""

    name: str
    remote: bool

    def results(self) -> Results:
        """What it computes."""
        ...

    def turn(self, calls: int) -> list[float]:
        """Seconds of each of some calls."""
        ...


class Local:
    """A side in this process.

    Arguments:
        name: as shown.
        point: what is computed.
        values: its arguments.
        output: from x and the weights to the output (T, B, D·H).
        weights: what ``output`` reads, in the layer's order.
    """

    remote = False

    def __init__(
        self, name: str, point: Point, values: Given, output: Callable[[Tensor], Tensor], weights: list[Tensor]
    ) -> None:
        self.name = name
        self._training = point.mode == "training"
        self._values = values
        self._output = output
        self._weights = weights
        self._x = values.x.clone().requires_grad_(self._training)
        self._shift = 1e-6

    def forward(self) -> Tensor:
        """The output, with what a backward pass needs when training."""
        with torch.set_grad_enabled(self._training):
            return self._output(self._x)

    def backward(self, output: Tensor) -> tuple[Tensor, ...]:
        """The gradients of x and of every weight."""
        return torch.autograd.grad(output, [self._x, *self._weights], self._values.gradient)

    def results(self) -> Results:
        """Output and gradients, at the given weights."""
        output = self.forward()
        if not self._training:
            return {"output": output}
        return {"output": output.detach(), **gradients(self._values, self.backward(output))}

    def turn(self, calls: int) -> list[float]:
        """Seconds of each call; in training the weights change between calls."""
        taken: list[float] = []
        for _ in range(calls):
            self.change_weights()
            started = time.perf_counter()
            self._call()
            taken.append(time.perf_counter() - started)
        return taken

    def _call(self) -> None:
        output = self.forward()
        if self._training:
            self.backward(output)

    def change_weights(self) -> None:
        """In training: what an optimiser would do between calls, cheaply."""
        if self._training:
            with torch.no_grad():
                for weight in self._weights:
                    weight.add_(self._shift)
            self._shift = -self._shift


def gradients(values: Given, found: tuple[Tensor, ...]) -> Results:
    """Gradients by name, given that of x and then those of the weights in the layer's order."""
    return dict(zip(("gradient of x", *(f"gradient of {name}" for name in values.weights)), found, strict=True))


def ours(point: Point, backend: str = "auto", name: str | None = None, dtype: torch.dtype = torch.float32) -> Local:
    """Our layer.

    Raises:
        ValueError: when the backend named cannot run the point.
    """
    values = given(point)
    layer = layer_of(point, backend).to(dtype)
    layer.load_state_dict(values.weights)
    values = values._replace(x=values.x.to(dtype), gradient=values.gradient.to(dtype))
    if name is None:
        name = "gatewise" if backend == "auto" else f"gatewise {backend}"
    # Asked for here, so that a backend that cannot run is told before anything is timed.
    layer.backend_for(values.x, lengths=values.lengths, reset=values.reset)

    def output(x: Tensor) -> Tensor:
        if point.stream:
            return torch.stack(list(layer.stream(x)))
        return _tensor(layer(x, lengths=values.lengths, reset=values.reset)[0])

    return Local(name, point, values, output, list(layer.parameters()))


def our_steps(point: Point) -> Local:
    """Our layer, called for every step."""
    values = given(point)
    layer = layer_of(point)
    layer.load_state_dict(values.weights)
    return Local("our step", point, values, lambda x: _step_by_step(layer.step, x), list(layer.parameters()))


def _step_by_step(step: Callable[[Tensor, Any], tuple[Tensor, Any]], x: Tensor) -> Tensor:
    state, outputs = None, []
    for x_t in x:
        y_t, state = step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs)


def chosen_backend(point: Point) -> str:
    """The backend that ``auto`` takes at a point."""
    values, layer = given(point), layer_of(point)
    with torch.set_grad_enabled(point.mode == "training"):
        return layer.backend_for(values.x, lengths=values.lengths, reset=values.reset).name


def torch_nn(point: Point) -> Local | str:
    """`torch.nn`'s module, on a PackedSequence when rows are ragged; or why there is none."""
    if point.built_in not in _TORCH:
        return f"torch.nn has no {point.cell}" if point.built_in else "torch.nn has no cells of your own"
    if point.reset:
        return "torch.nn cannot reset the state inside a sequence"
    values = given(point)
    if point.stream:
        return _torch_cell(point, values)
    module = _TORCH[point.built_in](point.H, point.H, bidirectional=point.bidirectional)
    module.load_state_dict(values.weights)
    module.train(point.mode == "training")

    def output(x: Tensor) -> Tensor:
        if values.lengths is None:
            return module(x)[0]
        packed, _ = module(pack_padded_sequence(x, values.lengths, enforce_sorted=False))
        return pad_packed_sequence(packed, total_length=x.shape[0])[0]

    return Local(f"torch.nn.{type(module).__name__}", point, values, output, list(module.parameters()))


def _torch_cell(point: Point, values: Given) -> Local:
    cell = _TORCH_CELLS[point.cell](point.H, point.H)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in values.weights.items()})

    def step(x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = cell(x_t, state)
        return (state[0] if isinstance(state, tuple) else state), state

    return Local(
        f"torch.nn.{type(cell).__name__}", point, values, lambda x: _step_by_step(step, x), list(cell.parameters())
    )


def python_loop(point: Point, compiled: bool = False) -> Local | str:
    """The best loop in Python, eager or through torch.compile; or why there is none."""
    if point.bidirectional or point.ragged or point.reset:
        return "the Python loop is for one direction and full rows"
    if compiled and point.T > COMPILED_STEPS:
        return f"torch.compile unrolls the loop, which takes minutes for more than {COMPILED_STEPS} steps"
    values = given(point)
    loop = loop_for(point.definition)
    if compiled:
        loop = torch.compile(loop, dynamic=False)
    weights = [weight.clone().requires_grad_(point.mode == "training") for weight in values.weights.values()]
    name = "torch.compile" if compiled else "Python loop"
    return Local(name, point, values, lambda x: loop(x, *weights), weights)


def _tensor(output: object) -> Tensor:
    assert isinstance(output, Tensor)
    return output


class MatrixProduct:
    """`torch.mm` at (64·B, H) × (H, G·H), the rate that the loop is measured by."""

    name = "torch.mm"
    remote = False

    def __init__(self, point: Point) -> None:
        rows, columns = 64 * point.B, max(1, point.recurrent_blocks) * point.H
        self._left, self._right = torch.randn(rows, point.H), torch.randn(point.H, columns)
        self._into = torch.empty(rows, columns)
        self.operations = 2.0 * rows * point.H * columns

    def results(self) -> Results:
        """Nothing to compare."""
        return {}

    def turn(self, calls: int) -> list[float]:
        """Seconds of each call."""
        taken: list[float] = []
        for _ in range(calls):
            started = time.perf_counter()
            torch.mm(self._left, self._right, out=self._into)
            taken.append(time.perf_counter() - started)
        return taken


class LoopTimes(NamedTuple):
    """Seconds of one call on the engine: the recurrent loops, the products of whole matrices, everything."""

    forward: float
    backward: float
    products: float
    whole: float


class InsideLoop:
    """The engine's recurrent loops alone, within whole calls of a side that runs on it."""

    name = "recurrent loop"
    remote = False

    def __init__(self, side: Local, training: bool) -> None:
        self._side = side
        self._training = training
        self.times: list[LoopTimes] = []

    def results(self) -> Results:
        """Nothing of its own to compare."""
        return {}

    def turn(self, calls: int) -> list[float]:
        """Seconds of each call; `times` gets the phases, of calls that the engine times."""
        seconds: list[float] = []
        for _ in range(calls):
            self._side.change_weights()
            started = time.perf_counter()
            self._call()
            seconds.append(time.perf_counter() - started)
        for whole in seconds:
            self._side.change_weights()
            with phase_seconds() as phases:
                output = self._side.forward()
                forward = phases[LOOP]
                if self._training:
                    self._side.backward(output)
            products = phases[PRODUCTS_BEFORE] + phases[PRODUCTS_AFTER]
            self.times.append(LoopTimes(forward, phases[LOOP] - forward, products, whole))
        return seconds

    def _call(self) -> None:
        output = self._side.forward()
        if self._training:
            self._side.backward(output)
