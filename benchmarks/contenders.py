"""A contender of a comparison: something that computes a case, and can be timed."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.cases import Case
from benchmarks.inputs import Inputs, layer_of, make_inputs
from benchmarks.loops import loop_for
from benchmarks.seconds import seconds_of
from gatewise.kernels import BackendName
from gatewise.kernels.cpu.execution import LOOP, PRODUCTS_AFTER, PRODUCTS_BEFORE, phase_seconds

# By name: output; in training also the gradients of x and of every weight.
NamedTensors = dict[str, Tensor]

_TORCH = {"lstm": nn.LSTM, "gru_cudnn": nn.GRU, "rnn_tanh": nn.RNN}
_TORCH_CELLS = {"lstm": nn.LSTMCell, "gru_cudnn": nn.GRUCell, "rnn_tanh": nn.RNNCell}
# Unrolled over more steps than this, a loop takes minutes to compile.
COMPILED_STEPS = 50


class Contender(Protocol):
    """What the harness needs of a contender."""

    name: str
    remote: bool

    def compute(self) -> NamedTensors:
        """What it computes."""
        ...

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each of some calls."""
        ...


class Local:
    """A contender in this process.

    Args:
        name: as shown.
        case: what is computed.
        values: its arguments.
        output: from x and the weights to the output (T, B, D·H).
        weights: what ``output`` reads, in the layer's order.
    """

    remote = False

    def __init__(
        self, name: str, case: Case, values: Inputs, output: Callable[[Tensor], Tensor], weights: list[Tensor]
    ) -> None:
        self.name = name
        self._training = case.mode == "training"
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

    def compute(self) -> NamedTensors:
        """Output and gradients, at the given weights."""
        output = self.forward()
        if not self._training:
            return {"output": output}
        return {"output": output.detach(), **gradients(self._values, self.backward(output))}

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each call; in training the weights change between calls."""
        return seconds_of(self._call, calls, self.change_weights)

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


def gradients(values: Inputs, found: tuple[Tensor, ...]) -> NamedTensors:
    """Gradients by name, given that of x and then those of the weights in the layer's order."""
    return dict(zip(("gradient of x", *(f"gradient of {name}" for name in values.weights)), found, strict=True))


def ours(
    case: Case, backend: BackendName = "auto", name: str | None = None, dtype: torch.dtype = torch.float32
) -> Local:
    """Our layer.

    Raises:
        ValueError: when the backend named cannot run the case.
    """
    values = make_inputs(case)
    layer = layer_of(case, backend).to(dtype)
    layer.load_state_dict(values.weights)
    values = values._replace(x=values.x.to(dtype), gradient=values.gradient.to(dtype))
    if name is None:
        name = "gatewise" if backend == "auto" else f"gatewise {backend}"
    # Checked here, so that a backend that cannot run raises before anything is timed.
    layer.backend_for(values.x, lengths=values.lengths, reset=values.reset)

    def output(x: Tensor) -> Tensor:
        if case.stream:
            return torch.stack(list(layer.stream(x)))
        return _tensor(layer(x, lengths=values.lengths, reset=values.reset)[0])

    return Local(name, case, values, output, list(layer.parameters()))


def our_steps(case: Case) -> Local:
    """Our layer, called for every step."""
    values = make_inputs(case)
    layer = layer_of(case)
    layer.load_state_dict(values.weights)
    return Local("our step", case, values, lambda x: _step_by_step(layer.step, x), list(layer.parameters()))


def _step_by_step(step: Callable[[Tensor, Any], tuple[Tensor, Any]], x: Tensor) -> Tensor:
    state, outputs = None, []
    for x_t in x:
        y_t, state = step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs)


def chosen_backend(case: Case) -> str:
    """The backend that ``auto`` takes at a case."""
    values, layer = make_inputs(case), layer_of(case)
    with torch.set_grad_enabled(case.mode == "training"):
        return layer.backend_for(values.x, lengths=values.lengths, reset=values.reset).name


def torch_nn(case: Case) -> Local | str:
    """`torch.nn`'s module, on a PackedSequence when rows are ragged; or why there is none."""
    if case.built_in not in _TORCH:
        return f"torch.nn has no {case.cell}" if case.built_in else "torch.nn has no cells of your own"
    if case.reset:
        return "torch.nn cannot reset the state inside a sequence"
    values = make_inputs(case)
    if case.stream:
        return _torch_cell(case, values)
    module = _TORCH[case.built_in](case.H, case.H, bidirectional=case.bidirectional)
    module.load_state_dict(values.weights)
    module.train(case.mode == "training")

    def output(x: Tensor) -> Tensor:
        if values.lengths is None:
            return module(x)[0]
        packed, _ = module(pack_padded_sequence(x, values.lengths, enforce_sorted=False))
        return pad_packed_sequence(packed, total_length=x.shape[0])[0]

    return Local(f"torch.nn.{type(module).__name__}", case, values, output, list(module.parameters()))


def _torch_cell(case: Case, values: Inputs) -> Local:
    cell = _TORCH_CELLS[case.cell](case.H, case.H)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in values.weights.items()})

    def step(x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = cell(x_t, state)
        return (state[0] if isinstance(state, tuple) else state), state

    return Local(
        f"torch.nn.{type(cell).__name__}", case, values, lambda x: _step_by_step(step, x), list(cell.parameters())
    )


def python_loop(case: Case, compiled: bool = False) -> Local | str:
    """The best loop in Python, eager or through torch.compile; or why there is none."""
    if case.bidirectional or case.ragged or case.reset:
        return "the Python loop is for one direction and full rows"
    values = make_inputs(case)
    loop = loop_for(case.definition)
    if compiled:
        loop = torch.compile(loop, dynamic=False)
    weights = [weight.clone().requires_grad_(case.mode == "training") for weight in values.weights.values()]
    name = "torch.compile" if compiled else "Python loop"
    return Local(name, case, values, lambda x: loop(x, *weights), weights)


def _tensor(output: object) -> Tensor:
    assert isinstance(output, Tensor)
    return output


class MatrixProduct:
    """`torch.mm` at (64·B, H) × (H, G·H), the rate that the loop is measured by."""

    name = "torch.mm"
    remote = False

    def __init__(self, case: Case) -> None:
        rows, columns = 64 * case.B, max(1, case.recurrent_blocks) * case.H
        self._left, self._right = torch.randn(rows, case.H), torch.randn(case.H, columns)
        self._into = torch.empty(rows, columns)
        self.operations = 2.0 * rows * case.H * columns

    def compute(self) -> NamedTensors:
        """Nothing to compare."""
        return {}

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each call."""
        return seconds_of(lambda: torch.mm(self._left, self._right, out=self._into), calls)


class LoopTimes(NamedTuple):
    """Seconds of one call on the engine: the recurrent loops, the products of whole matrices, everything."""

    forward: float
    backward: float
    products: float
    whole: float


class LoopTimer:
    """The engine's recurrent loops alone, within whole calls of a contender that runs on it."""

    name = "recurrent loop"
    remote = False

    def __init__(self, contender: Local, training: bool) -> None:
        self._contender = contender
        self._training = training
        self.times: list[LoopTimes] = []

    def compute(self) -> NamedTensors:
        """Nothing of its own to compare."""
        return {}

    def time_calls(self, calls: int) -> list[float]:
        """Seconds of each call; `times` gets the phases, of calls that the engine times."""
        seconds = seconds_of(self._call, calls, self._contender.change_weights)
        for whole in seconds:
            self._contender.change_weights()
            with phase_seconds() as phases:
                output = self._contender.forward()
                forward = phases[LOOP]
                if self._training:
                    self._contender.backward(output)
            products = phases[PRODUCTS_BEFORE] + phases[PRODUCTS_AFTER]
            self.times.append(LoopTimes(forward, phases[LOOP] - forward, products, whole))
        return seconds

    def _call(self) -> None:
        output = self._contender.forward()
        if self._training:
            self._contender.backward(output)
