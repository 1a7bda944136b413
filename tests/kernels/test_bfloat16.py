"""Products of numbers rounded to bfloat16: what they compute, on every backend that has them, and how they are asked
for: by frozen weights, autocast and torch's switch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.kernels import run
from gatewise.kernels.cpu import execution, library
from tests.agreement import ALL_CELLS, CELLS, Case, Way, assert_agrees, computed, layer_of, transcribed
from tests.combinations import combinations
from tests.kernels.calls import call_of, upstream_of
from tests.kernels.engine import needs_engine
from tests.products import rounded_products

BACKENDS = [pytest.param("cpu", marks=needs_engine), "reference"]


def gradients(output: Tensor, finals: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> list[Tensor]:
    values = [output, *finals]
    found = torch.autograd.grad(values, tensors, list(upstream_of(values)), allow_unused=True)
    return [torch.zeros_like(one) if got is None else got for got, one in zip(found, tensors, strict=True)]


def mostly_equal(actual: Tensor, expected: Tensor, name: str) -> None:
    """Equal to rounding in float32 but for a few values, in which a factor has been rounded the other source."""
    actual, expected = actual.detach(), expected.detach()
    scale = float(expected.abs().max()) + 1e-30
    off = (actual.double() - expected.double()).abs() / scale
    assert off.numel() == 0 or float(off.max()) < 2**-6, f"{name}: {off.max()}"
    assert float((off > 2e-5).double().sum()) <= 0.25 * off.numel(), f"{name}: {off.flatten().sort().values}"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", ALL_CELLS)
def test_two_steps_multiply_the_nearest_numbers_forward_and_backward(cell: str, backend: str):
    """Beside the reference in float32 with the factors of all its products rounded from outside."""
    call = call_of(cell, steps=2, batch=5, input_size=7, hidden_size=9, dtype=torch.float32)
    with rounded_products():
        output, finals = run(call, backend="reference")
        expected = [output, *finals, *gradients(output, finals, call.tensors)]
    output, finals = run(replace(call, products="bf16"), backend=backend)
    actual = [output, *finals, *gradients(output, finals, call.tensors)]
    for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
        mostly_equal(one, other, f"result {index}")
    exact, _ = run(call, backend="reference")
    assert float((exact - output).detach().abs().max()) > 1e-4  # in float32 it is another


@contextmanager
def asked_by(source: str, layer: gatewise.Recurrent) -> Iterator[None]:
    if source == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            yield
    elif source == "frozen":
        with layer.frozen(precision="bf16"):
            yield
    else:
        torch.backends.mkldnn.rnn.fp32_precision = "bf16"
        try:
            yield
        finally:
            torch.backends.mkldnn.rnn.fp32_precision = "none"


@combinations(
    {
        "cell": CELLS,
        "backend": ["cpu", "reference"],
        "source": ["autocast", "switch"],
        "every": [None, 2],
        "through_operators": [False, True],
        "bidirectional": [False, True],
        "lengths": [None, (5, 0, 3, 1)],
        "reset": [False, True],
        "layers": [1, 2],
    }
)
def test_whole_sequences_are_as_near_as_torch_with_rounded_products(
    cell: str,
    backend: str,
    source: str,
    every: int | None,
    through_operators: bool,
    bidirectional: bool,
    lengths: tuple[int, ...] | None,
    reset: bool,
    layers: int,
):
    if backend == "cpu" and library.why_missing() is not None:
        return
    case = Case(
        cell,
        input_size=5,
        hidden_size=9,
        num_layers=layers,
        bidirectional=bidirectional,
        lengths=lengths,
        reset=reset,
        dtype=torch.float32,
        seed=0,
    )
    with rounded_products():
        plain = transcribed.__wrapped__(case, torch.float32)
    layer = layer_of(case)
    if backend == "reference":
        source = (
            "switch"  # `computed` runs the backward pass here, too, and under autocast torch rounds its products itself
        )
    with asked_by(source, layer):
        actual = computed(case, Way(backend, every, through_operators), layer)
    assert_agrees(actual, transcribed(case, torch.float64), plain, torch.float32)
    in_float32 = computed(case, Way(backend, every, through_operators), layer)
    assert not all(torch.equal(actual[name], value) for name, value in in_float32.items())


@pytest.mark.parametrize("backend", BACKENDS)
def test_however_it_is_asked_for_the_bits_are_the_same(backend: str):
    torch.manual_seed(0)
    layer, x = gatewise.GRU(7, 9, 2, bidirectional=True, backend=backend), torch.randn(6, 4, 7)
    found: list[list[Tensor]] = []
    for source in ("autocast", "switch", "frozen"):
        with asked_by(source, layer):
            assert "products in bf16" in layer.backend_for(x).reason
            output, state = layer(x)
            with torch.no_grad():  # a whole stack at once
                mostly_equal(layer(x)[0], output, "without gradients")
        found.append([output, *gradients(output, (state,), tuple(layer.parameters()))])
    for one in found[1:]:
        assert all(map(torch.equal, one, found[0]))
    assert "bf16" not in layer.backend_for(x).reason
    assert not torch.equal(layer(x)[0], found[0][0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives_are_of_the_rounded_products(backend: str):
    call = replace(call_of("lstm", dtype=torch.float32), products="bf16")

    def second(backend: str) -> list[Tensor]:
        output, _ = run(call, backend=backend)
        (first,) = torch.autograd.grad(output.square().sum(), call.x, create_graph=True)
        return list(torch.autograd.grad(first.square().sum(), call.tensors))

    for one, other in zip(second(backend), second("reference"), strict=True):
        assert float((one - other).abs().max()) <= 2**-6 * float(other.abs().max())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms_follow_the_rounded_products():
    torch.manual_seed(0)
    layer, x = gatewise.GRU(7, 9), torch.randn(4, 3, 7)
    with asked_by("switch", layer):
        assert layer.backend_for(x).name != "torch"
        expected = layer(x)[0]
        tangent = torch.func.jvp(lambda one: layer(one)[0], (x,), (torch.ones_like(x),))[1]
        gradient = torch.func.grad(lambda one: layer(one)[0].sum())(x)
        leaf = x.clone().requires_grad_()
        mostly_equal(gradient, torch.autograd.grad(layer(leaf)[0].sum(), leaf)[0], "gradient")
        rows = torch.stack([layer(x[:, row])[0] for row in range(3)], 1)
        mostly_equal(torch.func.vmap(lambda one: layer(one)[0], 1, 1)(x), rows, "rows")
    mostly_equal(rows, expected, "rows")
    assert torch.isfinite(tangent).all()


@needs_engine
def test_a_step_a_stream_and_a_stack_are_the_sequence():
    torch.manual_seed(0)
    layer, x = gatewise.Recurrent("peephole_lstm", 7, 37, 2), torch.randn(9, 5, 7)
    with torch.no_grad(), layer.frozen(precision="bf16"):
        output, _ = layer(x, lengths=[9, 3, 0, 7, 1])
        streamed = torch.stack(list(layer.stream(iter(x))))
        mostly_equal(streamed[:, 0], output[:, 0], "stream")
        state = None
        for t in range(3):
            y, state = layer.step(x[t], state)
            assert torch.equal(y, streamed[t])
    for source in ("autocast", "switch"):
        with torch.no_grad(), asked_by(source, layer):
            assert torch.equal(torch.stack(list(layer.stream(iter(x)))), streamed)
    with torch.no_grad():
        assert not torch.equal(torch.stack(list(layer.stream(iter(x)))), streamed)


@needs_engine
def test_frozen_weights_are_packed_for_each_precision_that_calls_ask_for():
    torch.manual_seed(0)
    layer, x = gatewise.LSTM(7, 9).requires_grad_(False), torch.randn(6, 4, 7, requires_grad=True)

    def results() -> list[Tensor]:
        output = layer(x)[0]
        return [output, *torch.autograd.grad(output.sum(), x)]

    expected = results()
    with asked_by("switch", layer):
        rounded = results()
    with layer.frozen():
        for _ in range(2):
            assert all(map(torch.equal, results(), expected))
            with asked_by("switch", layer):
                assert all(map(torch.equal, results(), rounded))
    assert not torch.equal(rounded[0], expected[0])


@needs_engine
@pytest.mark.parametrize("cell", ["lstm", "gru_cho2014"])
def test_the_load_of_the_machine_changes_no_bit(cell: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for rows in (5, 1):  # partitioned by rows, and by units
            call = replace(call_of(cell, batch=rows, hidden_size=37, dtype=torch.float32), products="bf16")
            found: list[list[Tensor]] = []
            for workers in (1, 2, 3):
                monkeypatch.setattr(execution, "team", lambda workers=workers: (3, workers))
                output, finals = run(call)
                found.append([output, *gradients(output, finals, call.tensors)])
            for one in found[1:]:
                assert all(map(torch.equal, one, found[0]))
    finally:
        torch.set_num_threads(before)


@needs_engine
def test_values_that_are_not_finite_stay_in_their_row():
    torch.manual_seed(0)
    layer, x = gatewise.LSTM(7, 9), torch.randn(5, 4, 7)
    x[2, 1, 3], x[2, 2, 0] = torch.nan, torch.inf
    with torch.no_grad(), layer.frozen(precision="bf16"):
        output = layer(x)[0]
    assert output[2:, 1].isnan().all()
    assert output[:, [0, 3]].isfinite().all()
    assert output[:2].isfinite().all()


def test_where_it_cannot_be_it_says_why():
    double = gatewise.LSTM(3, 4, dtype=torch.float64)
    with double.frozen(precision="bf16"), pytest.raises(ValueError, match="products in bf16 are of float32 tensors"):
        double(torch.zeros(2, 2, 3, dtype=torch.float64))
    layer, x = gatewise.LSTM(3, 4, backend="torch"), torch.zeros(2, 2, 3)
    with layer.frozen(precision="bf16"), pytest.raises(ValueError, match="do not read weights that are frozen in bf16"):
        layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.backend_for(x).reason == "asked for by name; torch's kernels multiply in float32 here"
        assert double.backend_for(x).reason == gatewise.LSTM(3, 4).double().backend_for(x.double()).reason
    with torch.autocast("cpu", torch.float16):
        assert "bf16" not in gatewise.LSTM(3, 4).backend_for(x).reason
