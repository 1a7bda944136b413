"""Under autocast on the CPU a layer takes what comes; its products are of bfloat16, everything else of float32."""

import pytest
import torch

import gatewise
from gatewise.kernels.dispatch import BACKENDS
from tests.agreement import CELLS, Case, Way, operators_only, possible_ways
from tests.combinations import combinations


@combinations({"cell": CELLS, "backend": BACKENDS, "every": [None, 2], "through_operators": [False, True]})
def test_float32_comes_out(cell: str, backend: str, every: int | None, through_operators: bool):
    path = Way(backend, every, through_operators)
    if path not in possible_ways(Case(cell, bidirectional=True)):
        assert path.backend != "reference"
        return
    torch.manual_seed(0)
    layer = gatewise.Recurrent(
        CELLS[cell],
        3,
        4,
        2,
        bidirectional=True,
        merge="learned",
        backend=path.backend,
        checkpoint_every=path.checkpoint_every,
    )
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    expected.sum().backward()
    gradients = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if path.through_operators:
            with operators_only():
                output, state = layer(x)
        else:
            output, state = layer(x)
        assert torch.mm(x[0], x[0].t()).dtype == torch.bfloat16, "autocast is off"
    # Outside, as torch asks for: what runs backward under autocast is cast as well.
    output.sum().backward()
    for tensor in (output, *(state if isinstance(state, tuple) else (state,))):
        assert tensor.dtype == torch.float32
    if backend == "torch":  # whose products stay as they are
        torch.testing.assert_close(output, expected)
    else:  # tests/kernels/test_bfloat16.py has how near
        assert not torch.equal(output, expected)
        torch.testing.assert_close(output, expected, rtol=0, atol=0.1 * expected.detach().abs().max().item())
    # Kinks, where rounding chooses another derivative, and norms of four units, which magnify it.
    unsteady = "relu" in cell or "norm" in cell
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        assert parameter.grad.dtype == torch.float32
        if not unsteady:
            torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=0.1 * gradient.abs().max().item() + 1e-3)


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_half_precision_input_and_state_are_taken(backend: str):
    layer = gatewise.LSTM(3, 4, backend=backend)
    x = torch.randn(5, 2, 3)
    half = x.bfloat16()
    state = tuple(torch.randn(1, 2, 4).bfloat16() for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = layer(half.float(), tuple(part.float() for part in state))
        actual = layer(half, state)
        first, _ = layer.step(half[0], state)
    assert actual[0].dtype == first.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    with pytest.raises(TypeError, match=r"input: expected torch\.float32"):
        layer(half)


def test_integers_raise_under_autocast_too():
    layer = gatewise.LSTM(3, 4)
    with torch.autocast("cpu"), pytest.raises(TypeError, match=r"input: expected torch\.float32.*got torch\.int64"):
        layer(torch.zeros(5, 2, 3, dtype=torch.int64))


def test_backend_for_under_autocast():
    layer = gatewise.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        name, reason = layer.backend_for(x.bfloat16())
        assert (name, reason) == (layer.backend_for(x).name, layer.backend_for(x).reason)
        assert reason.endswith("; products in bf16")
        # Asked for by name it would raise for bfloat16.
        layer.backend = "torch"
        assert layer.backend_for(x.bfloat16()).name == "torch"


def test_float64_stays_float64():
    torch.manual_seed(0)
    layer, x = gatewise.GRU(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)[0]
    assert torch.equal(output, layer(x)[0])


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_model_under_autocast(dynamic: bool):
    torch._dynamo.reset()
    torch.manual_seed(0)
    layer = gatewise.PeepholeLSTM(3, 4, bidirectional=True)
    compiled = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    half = torch.randn(5, 2, 3).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = layer(half.float())[0]
        actual = compiled(half)[0]
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    for a, b in zip(
        torch.autograd.grad(actual.sum(), layer.parameters()),
        torch.autograd.grad(expected.sum(), layer.parameters()),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    assert not torch.equal(layer(half.float())[0], expected)
    torch.testing.assert_close(compiled(half.float())[0], layer(half.float())[0])  # autocast is guarded
