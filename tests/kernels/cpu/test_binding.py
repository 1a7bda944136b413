"""The binding: what it accepts, what it rejects without a crash, and that it keeps nothing."""

import ctypes
import gc
import operator
import shutil
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gatewise
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import binding, execution, library, workspace
from tests.kernels.calls import call_of, flat
from tests.kernels.cpu.workspaces import fresh_workspaces
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

INPUT, H = 3, 5
SHAPES = ((20, INPUT), (20, H), (20,))


class Marked(Tensor):
    """A subclass, whose operations are its own."""


def accepts(x: Any, initial: Any = (), lengths: Any = None, reset: Any = None, weights: Any = None) -> bool:
    given = dict(enumerate(WEIGHTS if weights is None else weights))
    names = tuple(range(len(SHAPES)))
    accepted = library.engine().binding.accepts(x, initial, lengths, reset, given, names, SHAPES, INPUT, (H, H), 2)
    assert accepted is None or all(map(operator.is_, accepted, given.values()))
    return accepted is not None


X, STATE = torch.zeros(4, 2, INPUT), torch.zeros(2, 2, H)
LENGTHS, RESET = torch.zeros(2, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.bool)
WEIGHTS = tuple(torch.zeros(shape) for shape in SHAPES)


@pytest.mark.parametrize(
    "given",
    [
        {"x": X},
        {"x": X, "initial": (STATE, STATE), "lengths": LENGTHS, "reset": RESET},
        {"x": X.double(), "initial": (STATE.double(),), "weights": tuple(one.double() for one in WEIGHTS)},
        {"x": nn.Parameter(X), "weights": tuple(map(nn.Parameter, WEIGHTS))},
        {"x": torch.zeros(2, 4, INPUT).transpose(0, 1)},
        {"x": X[:, :0], "initial": (STATE[:, :0],)},
        {"x": X[0], "initial": (STATE,), "reset": RESET[0]},
        {"x": X[0, 0], "initial": (STATE[:, 0],), "reset": RESET[0, 0]},
    ],
    ids=range(8),
)
def test_what_is_accepted(given: dict[str, Any]):
    assert accepts(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"x": None},
        {"x": "x"},
        {"x": X.as_subclass(Marked)},
        {"x": X.half()},
        {"x": X.to(torch.complex64)},
        {"x": X.to(torch.int32)},
        {"x": X.to("meta")},
        {"x": X.to_sparse()},
        {"x": X[..., :2]},
        {"x": X[:0]},
        {"x": X[None]},
        {"x": torch.zeros(())},
        {"x": X, "initial": (STATE[:1],)},
        {"x": X, "initial": (STATE.double(),)},
        {"x": X, "initial": (None,)},
        {"x": X, "lengths": [4, 4]},
        {"x": X, "lengths": LENGTHS.int()},
        {"x": X, "lengths": LENGTHS[:1]},
        {"x": X, "reset": RESET.byte()},
        {"x": X, "reset": RESET[:2]},
        {"x": X[0], "reset": RESET},
        {"x": X, "weights": (*WEIGHTS[:2], None)},
        {"x": X, "weights": (*WEIGHTS[:2], WEIGHTS[2].double())},
        {"x": X, "weights": (*WEIGHTS[:2], WEIGHTS[2][:19])},
        {"x": X, "weights": (*WEIGHTS[:2], WEIGHTS[2][None])},
        {"x": X, "weights": (*WEIGHTS[:2], WEIGHTS[2].to("meta"))},
        {"x": X, "weights": (WEIGHTS[0].to_sparse(), *WEIGHTS[1:])},
    ],
    ids=range(27),
)
def test_what_is_not(given: dict[str, Any]):
    assert not accepts(**given)


def passes(call: Call) -> tuple[Tensor, ...]:
    """Results, what is saved, and gradients."""
    output, finals, saved = execution.forward(call, True)
    upstream = tuple(torch.ones_like(one) for one in (output, *finals))
    gradients = execution.backward(call, saved, upstream, [True] * len(call.tensors))
    return (output, *finals, *saved, *(one for one in gradients if one is not None))


@pytest.mark.parametrize("options", [{}, {"lengths": [5, 2], "reset": True}, {"directions": "bidirectional"}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_reference_is_kept(options: dict[str, Any], dtype: torch.dtype):
    call = call_of("lstm", steps=5, batch=2, dtype=dtype, **options)
    given = [one for one in (*call.tensors, call.lengths, call.reset) if one is not None]
    passes(call)
    before = [sys.getrefcount(one) for one in given]
    made = [weakref.ref(one) for one in passes(call)]
    assert [sys.getrefcount(one) for one in given] == before
    assert all(one() is None for one in made)


def without_memory(of: Tensor) -> Tensor:
    copy = of.detach().clone()
    copy.untyped_storage().resize_(0)
    return copy


FAILING: dict[str, tuple[Callable[[Call], Call], str]] = {
    "length": (lambda call: replace(call, lengths=torch.tensor([1, 9])), "lengths: expected values between 0 and T=5"),
    "memory": (lambda call: replace(call, x=without_memory(call.x)), "input: expected values for its shape"),
    "device": (lambda call: replace(call, x=call.x.to("meta")), "cannot read a tensor of this call"),
    "dtype": (lambda call: replace(call, x=call.x.float()), "cannot read a tensor of this call"),
    "no tensor": (lambda call: replace(call, initial=("h", "c")), "'str' object"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("case", FAILING)
def test_a_failing_call_keeps_nothing_either(case: str):
    call = call_of("lstm", steps=5, batch=2)
    change, message = FAILING[case]
    wrong = change(call)
    counts: list[list[int]] = []
    for _ in range(3):
        with pytest.raises((ValueError, RuntimeError, AttributeError), match=message):
            execution.forward(wrong, True)
        gc.collect()
        counts.append([sys.getrefcount(one) for one in call.tensors])
    assert counts[0] == counts[1] == counts[2]
    passes(call)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts raise: in jobs in the background of a shell, which ignores them there, Python installs no handler."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_long_call(monkeypatch: pytest.MonkeyPatch):
    """Between chunks of work, and what the handler raises is raised."""
    monkeypatch.setattr(execution, "CHUNK", 1)
    call = call_of("lstm", steps=400_000, batch=1, input_size=1, hidden_size=5, requires_grad=False)
    finals = tuple(torch.full((1, 1, 5), torch.nan, dtype=call.x.dtype) for _ in range(2))
    larger = workspace.larger

    def interrupted_soon(size: int) -> workspace.Workspace:
        threading.Timer(0.02, signal.raise_signal, [signal.SIGINT]).start()
        return larger(size)

    monkeypatch.setattr(workspace, "larger", interrupted_soon)
    with fresh_workspaces(), pytest.raises(KeyboardInterrupt):
        execution.forward(replace(call, finals=finals), False)
    assert all(one.isnan().all() for one in finals), "it ran to its end"


def fortran(tensor: Tensor) -> Tensor:
    return tensor.detach().movedim(-1, 0).contiguous().movedim(0, -1)


def negative(tensor: Tensor) -> Tensor:
    return torch.complex(torch.zeros_like(tensor), -tensor.detach()).conj().imag


def one_number(tensor: Tensor) -> Tensor:
    return torch.full((1,), 0.5, dtype=tensor.dtype).expand(tensor.shape)


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("layout", [fortran, negative])
def test_saved_tensors_of_another_layout(layout: Callable[[Tensor], Tensor], every: int | None):
    """Hooks may return equal values in any memory."""
    layer = gatewise.LSTM(INPUT, H, num_layers=2, checkpoint_every=every)
    x, weights = torch.randn(5, 2, INPUT), list(layer.parameters())
    expected = torch.autograd.grad(layer(x)[0].square().sum(), weights)
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one, layout):
        loss = layer(x)[0].square().sum()
    torch.testing.assert_close(torch.autograd.grad(loss, weights), expected)


def test_saved_tensors_without_memory_of_their_own_are_read_as_they_are():
    layer = gatewise.LSTM(INPUT, 64)
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one, one_number):
        loss = layer(torch.randn(50, 8, INPUT))[0].sum()
    loss.backward()  # gradients of other values, but of no other memory


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_saved_tensors_of_another_dtype(dtype: torch.dtype):
    layer = gatewise.LSTM(INPUT, 64)
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one, lambda one: one.to(dtype)):
        loss = layer(torch.randn(50, 8, INPUT))[0].sum()
    with pytest.raises(RuntimeError, match=r"cannot read a tensor of this call: expected dense CPU tensors of torch\."):
        loss.backward()


def test_what_users_see_can_be_resized():
    layer, x = gatewise.LSTM(INPUT, H), X.clone().requires_grad_()
    output, states = layer(x)
    output.sum().backward()
    _, given = layer(X, states)
    assert x.grad is not None
    for one in (output, *states, *given, x.grad):
        assert one.untyped_storage().resizable()
    with torch.no_grad():
        y_t, states = layer.step(X[0])
    assert all(one.untyped_storage().resizable() for one in (y_t, *states))


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("name", ["lengths", "reset"])
def test_lengths_and_resets_without_memory(name: str, gradients: bool):
    given = {name: without_memory(torch.ones_like({"lengths": LENGTHS, "reset": RESET}[name]))}
    with torch.set_grad_enabled(gradients), pytest.raises(ValueError, match=f"{name}: expected values for its shape"):
        gatewise.LSTM(INPUT, H)(X, **given)


def test_weights_without_memory_are_not_frozen():
    layer = gatewise.LSTM(INPUT, H)
    layer.weight_hh_l0.untyped_storage().resize_(0)
    with layer.frozen(), torch.no_grad(), pytest.raises(ValueError, match="R: expected values for its shape"):
        layer(X)


def test_an_efficient_zero_gradient():
    layer = gatewise.LSTM(INPUT, H)
    output, _ = layer(X)
    gradients = torch.autograd.grad(output, list(layer.parameters()), torch._efficientzerotensor(output.shape))
    assert not any(one.any() for one in gradients)


def test_an_error_of_the_pool_is_handed_on(monkeypatch: pytest.MonkeyPatch):
    """The workspace goes back to the pool whatever happens."""

    def larger(size: int) -> workspace.Workspace:
        raise MemoryError(f"no {size} bytes")

    monkeypatch.setattr(workspace, "larger", larger)
    call = call_of("lstm", steps=5, batch=2)
    with fresh_workspaces(), pytest.raises(MemoryError, match=r"no [0-9]+ bytes"):
        execution.forward(call, True)
    monkeypatch.undo()
    assert torch.equal(flat(execution.forward(call, False)[:2])[0], passes(call)[0])


def test_a_torch_whose_exchange_is_of_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Found when the engine is loaded."""
    table = (ctypes.c_uint32 * 16)(2, 0)  # major version 2, and no older one behind it
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    monkeypatch.setattr(Tensor, "__dlpack_c_exchange_api__", new(table, b"dlpack_exchange_api", None))
    path = shutil.copy(library.FOLDER / binding.LIBRARY, tmp_path)  # one that is not loaded yet
    with pytest.raises(OSError, match="DLPack exchange is of another version"):
        binding.load(str(path))


def test_gradients_of_weights_are_ordinary_tensors():
    """Some libraries give the memory of gradients back, by resizing their storage."""
    layer = gatewise.LSTM(INPUT, H)
    layer(X)[0].sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.untyped_storage().resizable()
