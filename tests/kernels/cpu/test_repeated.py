"""Calls in training that are played from a tape: the same bits as those that go as they come, of the tensors of now."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gatewise
from gatewise.equations import cell, sigmoid, tanh
from gatewise.kernels.cpu import repeated
from tests.agreement import CELLS
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

GENERATOR = torch.Generator().manual_seed(4)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=dtype)


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """One entry for each tape that is played; nothing is known before and after a test."""
    repeated._known.clear()
    seen: list[object] = []
    original = repeated._play

    def counted(*arguments: Any) -> None:
        seen.append(arguments[0])
        original(*arguments)

    monkeypatch.setattr(repeated, "_play", counted)
    yield seen
    repeated._known.clear()


def states_of(state: object) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)  # type: ignore[return-value]


def differentiated(
    layer: nn.Module, x: Tensor, hx: object, of_output: Tensor | None, of_finals: Tensor | None, wanted: str = "all"
) -> list[Tensor]:
    """Output, final states and gradients, for upstream gradients, None for none."""
    leaves = [*layer.parameters()]
    if wanted != "parameters":
        x = x.detach().requires_grad_()
        leaves = [x] if wanted == "input" else [*leaves, x]
    if hx is not None and wanted == "all":
        hx = tuple(one.detach().requires_grad_() for one in states_of(hx))
        leaves += hx
        hx = hx if len(hx) > 1 else hx[0]
    output, finals = layer(x, hx)
    finals = states_of(finals)
    upstream = [] if of_output is None else [(output, of_output)]
    upstream += [] if of_finals is None else [(one, of_finals[at]) for at, one in enumerate(finals)]
    roots, gradients = zip(*upstream, strict=True)
    return [output.detach(), *(one.detach() for one in finals), *torch.autograd.grad(roots, leaves, gradients)]


def as_it_comes(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> list[Tensor]:
    with monkeypatch.context() as patched:
        patched.setattr(repeated, "passes_of", lambda *_: None)
        return differentiated(*arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("steps", "rows", "both"), [(1, 1, True), (1, 3, False), (7, 1, False), (4, 9, True)])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits(
    cell: str,
    steps: int,
    rows: int,
    both: bool,
    dtype: torch.dtype,
    played: list[object],
    monkeypatch: pytest.MonkeyPatch,
):
    layer = gatewise.Recurrent(CELLS[cell], 5, 19, 2, init="torch", dtype=dtype, bidirectional=both)
    width, depth = (38, 4) if both else (19, 2)
    for at in range(5):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(drawn(*parameter.shape, dtype=dtype) / 4)
        hx = tuple(drawn(depth, rows, 19, dtype=dtype) for _ in layer.cell.states) if at != 3 else None
        hx = hx if hx is None or len(hx) > 1 else hx[0]
        arguments = (
            layer,
            drawn(steps, rows, 5, dtype=dtype),
            hx,
            drawn(steps, rows, width, dtype=dtype),
            drawn(len(layer.cell.states), depth, rows, 19, dtype=dtype),
        )
        played.clear()
        found = differentiated(*arguments)
        # Without a gradient for the initial state the backward pass is of another kind.
        assert len(played) == (0 if at < 2 else 2 if at == 3 else 4)
        assert all(map(torch.equal, found, as_it_comes(monkeypatch, *arguments)))


@pytest.mark.parametrize("wanted", ["parameters", "input"])
@pytest.mark.parametrize("upstream", ["output", "finals"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014", "peephole_lstm_full"])
def test_any_subset_of_gradients(
    cell: str, both: bool, upstream: str, wanted: str, played: list[object], monkeypatch: pytest.MonkeyPatch
):
    layer = gatewise.Recurrent(CELLS[cell], 3, 4, init="torch", bidirectional=both)
    count = 1 + both
    for _ in range(4):
        of_finals = drawn(len(layer.cell.states), count, 2, 4)
        gradients = (drawn(6, 2, 4 * count), None) if upstream == "output" else (None, of_finals)
        arguments = (layer, drawn(6, 2, 3), None, *gradients, wanted)
        assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    assert len(played) == 4


@cell
def decaying(x, h, /, W, R, b, d):
    return tanh(W @ x + R @ h + 2 * b) + sigmoid(d) * h


@pytest.mark.parametrize("both", [False, True])
def test_what_torch_computes_around_a_tape(both: bool, played: list[object], monkeypatch: pytest.MonkeyPatch):
    """Of b and d before it, and of their gradients after it; of either direction its own."""
    layer = gatewise.Recurrent(decaying, 3, 4, bidirectional=both)
    count = 1 + both
    for _ in range(4):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(drawn(*parameter.shape))
        arguments = (layer, drawn(6, 2, 3), None, drawn(6, 2, 4 * count), drawn(1, count, 2, 4))
        assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    assert len(played) == 4
    tapes = [tape.written for passes in repeated._known.values() for tape in passes.free]
    assert any(tape.before for tape in tapes)
    assert any(tape.after for tape in tapes)


def test_backward_passes_in_any_order(played: list[object]):
    layer = gatewise.LSTM(3, 4)
    inputs = [drawn(6, 2, 3).requires_grad_() for _ in range(4)]
    expected = []
    for x in inputs:
        layer(x)[0].square().sum().backward()
        expected.append(x.grad)
        x.grad = None
    played.clear()
    losses = [layer(x)[0].square().sum() for x in inputs]
    for at in (2, 0, 3, 1):
        losses[at].backward(retain_graph=True)
        assert torch.equal(inputs[at].grad, expected[at])
        losses[at].backward()
        assert torch.equal(inputs[at].grad, 2 * expected[at])
    assert len(played) == 12


def test_upstream_gradients_of_any_layout(played: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.GRU(3, 4)
    x = drawn(6, 2, 3)
    for of_output in (drawn(6, 2, 4), torch.ones(1).expand(6, 2, 4), drawn(4, 2, 6).transpose(0, 2)):
        for _ in range(3):
            arguments = (layer, x, None, of_output, torch.ones(()).expand(1, 1, 2, 4))
            assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    assert len(played) == 14


def test_input_and_state_of_any_layout(played: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(3, 4, batch_first=True)
    for _ in range(4):
        wide = drawn(1, 2, 8)
        arguments = (layer, drawn(2, 6, 3), (wide[..., ::2], wide[..., 4:]), drawn(6, 2, 4).transpose(0, 1), None)
        assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    assert len(played) == 4


def test_one_tensor_in_two_places(played: list[object], monkeypatch: pytest.MonkeyPatch):
    """Of the call that is written down; those that follow have two."""
    layer = gatewise.LSTM(4, 4)
    x, state, gradient = drawn(1, 2, 4), drawn(1, 2, 4), drawn(1, 2, 4)
    for _ in range(2):
        differentiated(layer, x, (state, state), gradient, gradient.expand(2, 1, 2, 4))
    for _ in range(2):
        states, finals = (drawn(1, 2, 4), drawn(1, 2, 4)), drawn(2, 1, 2, 4)
        arguments = (layer, x, states, gradient, finals)
        assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    assert len(played) == 4
    # And where nothing tells them apart, no tape is made.
    repeated._known.clear()
    played.clear()
    for _ in range(4):
        arguments = (layer, x, (x, x), gradient, gradient.expand(2, 1, 2, 4))
        assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))


def usual(layer: gatewise.Recurrent, x: Tensor, **options: Any) -> None:
    layer(x, **options)[0].square().sum().backward()


@pytest.mark.parametrize("both", [False, True])
def test_watched_calls_are_played_too(both: bool, played: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(3, 4, bidirectional=both)
    for gates, plays in ((False, 4), (True, 2)):  # of a call that hands over its states, backward alone
        repeated._known.clear()
        for _ in range(4):
            x = drawn(6, 2, 3)
            flows: list[Tensor] = []
            for taped in (True, False):
                with monkeypatch.context() as patched, gatewise.watch(layer, gates=gates) as trace:
                    if not taped:
                        patched.setattr(repeated, "passes_of", lambda *_: None)
                    usual(layer, x)
                flow = trace.gradient_flow()
                flows.append(torch.stack([flow[label] for label in flow]))
            assert flows[0].all()
            assert torch.equal(*flows)
        assert len(played) == plays
        played.clear()


def test_calls_that_go_as_they_come(played: list[object], monkeypatch: pytest.MonkeyPatch):
    x = drawn(6, 2, 3)
    layer = gatewise.GRU(3, 4)
    for _ in range(4):
        usual(layer, x, lengths=[6, 2])
        usual(layer, x, reset=torch.zeros(6, 2, dtype=torch.bool))
        with layer.frozen():
            usual(layer, x)
    assert not played
    monkeypatch.setattr(repeated, "MOST_BYTES", 4 * (sum(p.numel() for p in layer.parameters()) + 12 * 12) - 1)
    for _ in range(4):
        usual(layer, x)
    assert not played
    repeated._known.clear()
    monkeypatch.setattr(repeated, "MOST_BYTES", repeated.MOST_BYTES + 1)
    for _ in range(4):
        usual(layer, x)
    assert len(played) == 4


def test_what_is_used_stays_and_what_is_not_goes(played: list[object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repeated, "MOST_KINDS", 4)
    layer = gatewise.GRU(3, 4)
    x = drawn(9, 2, 3)
    for steps in (2, 2, 2, 3, 2, 4, 2, 5, 2):
        usual(layer, x[:steps])
    assert len(played) == 2 * 4
    assert len(repeated._known) == 4
    usual(layer, x[:3])
    usual(layer, x[:3])
    assert len(played) == 2 * 4
    newest = next(reversed(repeated._known.values())).bytes
    monkeypatch.setattr(repeated, "ALL_BYTES", 3 * newest)
    for _ in range(3):
        usual(layer, torch.cat([x[:1], x[2:4]]))
    assert len(repeated._known) == 4
    usual(layer, x[:1])
    assert sum(passes.bytes for passes in repeated._known.values()) <= 3 * newest


def test_nothing_of_a_user_is_held():
    layer = gatewise.LSTM(3, 4)
    inside: list[weakref.ref[Tensor]] = []
    for _ in range(4):
        x = drawn(6, 2, 3).requires_grad_()
        usual(layer, x)
        inside += [weakref.ref(x), weakref.ref(x.grad)]
        inside += [weakref.ref(parameter.grad) for parameter in layer.parameters()]
        layer.zero_grad()
    inside += [weakref.ref(parameter) for parameter in layer.parameters()]
    del layer, x
    gc.collect()
    assert not any(reference() is not None for reference in inside)


def test_what_is_held_is_bounded():
    layer = gatewise.LSTM(16, 64)
    x = drawn(50, 4, 16)
    for _ in range(3):
        usual(layer, x)
    held = [
        tensor
        for passes in repeated._known.values()
        for tape in passes.free
        for tensor in tape.written.tape._held[-1][1]
    ]
    by_storage = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
    most = 4 * (sum(parameter.numel() for parameter in layer.parameters()) + 50 * 4 * 2 * 4 * 64)
    assert len(repeated._known) == 2
    assert 0 < sum(by_storage.values()) <= 2 * most


@pytest.mark.parametrize("both", [False, True])
def test_weights_that_were_kept_end_with_a_call_that_is_played(both: bool, played: list[object]):
    layer = gatewise.LSTM(3, 4, bidirectional=both)
    x = drawn(6, 2, 3)
    for _ in range(2):
        usual(layer, x)
    with torch.no_grad():
        layer(x)
    layer(x)[0].sum().backward()
    assert len(played) == 2
    for parameter in layer.parameters():
        parameter.data.mul_(2)
    with torch.no_grad():
        found = layer(x)[0]
        layer.refresh()
        assert torch.equal(found, layer(x)[0])


def test_second_derivatives(played: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(3, 4, dtype=torch.float64)

    def second() -> Tensor:
        x = torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 2, 3).requires_grad_()
        (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    found = [second() for _ in range(4)]
    assert played
    with monkeypatch.context() as patched:
        patched.setattr(repeated, "passes_of", lambda *_: None)
        expected = second()
    assert all(torch.equal(one, expected) for one in found)


def test_threads_at_once(played: list[object]):
    layers = [gatewise.LSTM(3, 4) for _ in range(4)]
    inputs = [drawn(20, 2, 3) for _ in layers]
    expected = [
        differentiated(layer, x, None, x.new_ones(20, 2, 4), None) for layer, x in zip(layers, inputs, strict=True)
    ]
    wrong: list[int] = []

    def work(at: int) -> None:
        for _ in range(50):
            found = differentiated(layers[at], inputs[at], None, torch.ones(20, 2, 4), None)
            if not all(map(torch.equal, found, expected[at])):
                wrong.append(at)

    workers = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert played


def test_another_number_of_threads(played: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(40, 256)
    before = torch.get_num_threads()
    arguments = (layer, drawn(8, 1, 40), None, drawn(8, 1, 256), None)
    try:
        for threads in (1, 2, 1, 2):
            torch.set_num_threads(threads)
            for _ in range(2):
                assert all(map(torch.equal, differentiated(*arguments), as_it_comes(monkeypatch, *arguments)))
    finally:
        torch.set_num_threads(before)
    assert len(played) == 2 * 4


def test_no_memory_is_told(monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(3, 4)
    x = drawn(6, 2, 3)
    for _ in range(3):
        usual(layer, x)
    for passes in repeated._known.values():
        for tape in passes.free:
            tape.written.tape.play = lambda: 1
    for _ in range(2):  # forward and backward
        with pytest.raises(MemoryError, match="the engine could not allocate its scratch memory"):
            usual(layer, x)
    usual(layer, x)  # with new tapes
