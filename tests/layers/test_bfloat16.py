"""Layers of bfloat16: outputs and states of that type; what is carried inside a call and a stream is float32."""

from typing import Any

import pytest
import torch

import gatewise
from tests.agreement import ALL_CELLS
from tests.kernels.engine import needs_engine


def layer_and_input(cell: str, **options: Any) -> tuple[gatewise.Recurrent, torch.Tensor]:
    torch.manual_seed(0)
    proj_size = 5 if ALL_CELLS[cell].projected else 0
    layer = gatewise.Recurrent(ALL_CELLS[cell], 7, 9, proj_size=proj_size, **options).bfloat16()
    return layer, torch.randn(12, 3, 7).bfloat16()


@pytest.mark.parametrize("backend", [pytest.param("cpu", marks=needs_engine), "reference"])
@pytest.mark.parametrize("cell", ["lstm", "gru_cho2014", "lstm_layer_norm", "lstm_projected"])
def test_a_call_is_one_of_float32_with_rounded_products(cell: str, backend: str):
    layer, x = layer_and_input(cell, bidirectional=True, backend=backend)
    output, state = layer(x, lengths=[12, 0, 5])
    wide = gatewise.Recurrent(ALL_CELLS[cell], 7, 9, bidirectional=True, backend=backend, proj_size=layer.proj_size)
    wide.load_state_dict(layer.state_dict())
    with wide.frozen(precision="bf16"):
        wide_output, wide_state = wide(x.float(), lengths=[12, 0, 5])
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, wide_output.bfloat16())
    states = state if isinstance(state, tuple) else (state,)
    for one, other in zip(states, wide_state if isinstance(wide_state, tuple) else (wide_state,), strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.equal(one, other.bfloat16())
    above = torch.randn_like(output)
    output.backward(above)
    wide_output.backward(above.float())
    for one, other in zip(layer.parameters(), wide.parameters(), strict=True):
        assert one.grad.dtype == torch.bfloat16
        assert torch.equal(one.grad, other.grad.bfloat16())


@pytest.mark.parametrize("backend", [pytest.param("cpu", marks=needs_engine), "reference"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_stream_carries_float32(backend: str, layers: int):
    layer, x = layer_and_input("lstm", num_layers=layers, backend=backend)
    reset = torch.rand(12, 3) < 0.2
    with torch.no_grad():
        output, final = layer(x, reset=reset)
        stream = layer.stream(x, reset=reset)
        streamed = torch.stack(list(stream))
        assert streamed.dtype == torch.bfloat16
        assert torch.equal(streamed, output)
        assert all(map(torch.equal, stream.state, final))
        # Steps hand out their state, which is rounded each time.
        state, found = None, []
        for x_t, flags in zip(x, reset, strict=True):
            y_t, state = layer.step(x_t, state, reset=flags)
            found.append(y_t)
        assert state[0].dtype == torch.bfloat16
        assert not torch.equal(torch.stack(found), output)
        # From a state of the caller's on, of either type.
        first = layer(x[:5])[1]
        stream = layer.stream(x[5:], state=first)
        expected = layer(x[5:], first)[0]
        assert torch.equal(torch.stack(list(stream)), expected)
        stream = layer.stream(x[5:])
        stream.state = first
        assert torch.equal(torch.stack(list(stream)), expected)


def test_a_stream_without_a_batch_and_with_gradients():
    layer, x = layer_and_input("gru_chung2014")
    row = x[:, 0].clone().requires_grad_()
    stream = layer.stream(row)
    output = torch.stack(list(stream))
    assert output.shape == (12, 9)
    assert stream.state.dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(output.sum(), row)
    assert gradient.dtype == torch.bfloat16
    expected = torch.autograd.grad(layer(row)[0].sum(), row)[0]
    assert float((gradient - expected).abs().max()) <= 0.05 * float(expected.abs().max())


@needs_engine
def test_frozen_weights_and_checkpoints_and_compiled_code_have_the_same_bits():
    layer, x = layer_and_input("lstm", bidirectional=True)
    output = layer(x)[0]
    with layer.frozen():
        assert torch.equal(layer(x)[0], output)
        assert torch.equal(layer(x)[0], output)
    with layer.frozen(precision="bf16"):
        assert torch.equal(layer(x)[0], output)
    with layer.frozen(precision="int8"), torch.no_grad(), pytest.raises(ValueError, match="are of float32 tensors"):
        layer(x)
    gradients = torch.autograd.grad(output.sum(), layer.parameters())
    layer.checkpoint_every = 4
    again = layer(x)[0]
    assert torch.equal(again, output)
    assert all(map(torch.equal, torch.autograd.grad(again.sum(), layer.parameters()), gradients))
    layer.checkpoint_every = None
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)[0]
    assert torch.equal(compiled, output)
    assert all(map(torch.equal, torch.autograd.grad(compiled.sum(), layer.parameters()), gradients))


@needs_engine
def test_observers_see_what_float32_carries():
    def flow(layer: gatewise.Recurrent, x: torch.Tensor) -> dict[Any, torch.Tensor]:
        with gatewise.watch(layer) as trace, layer.frozen(precision="bf16"):
            layer(x)[0].float().square().sum().backward()
        assert len(trace.gates()) == 4
        return dict(trace.gradient_flow())

    layer, x = layer_and_input("lstm")
    wide, _ = layer_and_input("lstm")
    for key, norms in flow(wide.float(), x.float()).items():
        seen = flow(layer, x)[key]
        torch.testing.assert_close(seen, norms.to(seen.dtype), rtol=0.02, atol=0.02 * norms.abs().max().item())
