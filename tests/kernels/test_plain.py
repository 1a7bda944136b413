"""Tensors that are not plain memory: read right, left to the reference, or rejected by name; never a crash."""

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.kernels import operators
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


def layer_and_input(**options: object) -> tuple[gatewise.LSTM, Tensor]:
    torch.manual_seed(0)
    return gatewise.LSTM(3, 4, dtype=torch.float64, **options), torch.randn(5, 2, 3, dtype=torch.float64)


def outcome(layer: gatewise.LSTM, x: Tensor) -> tuple[Tensor, ...]:
    output, (h, c) = layer(x)
    return output, h, c, *torch.autograd.grad(output.sum() + c.sum(), list(layer.parameters()))


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"checkpoint_every": 2}], ids=str)
def test_another_default_device(options: dict[str, object]):
    layer, x = layer_and_input(**options)
    expected = outcome(layer, x)
    lengths, reset = torch.tensor([5, 3]), torch.rand(5, 2) < 0.5
    with torch.no_grad():
        ragged = layer(x, lengths=lengths, reset=reset)[0]
        inference = layer(x)[0]
    with torch.device("meta"):
        for _ in range(4):
            torch.testing.assert_close(outcome(layer, x), expected)
        with torch.no_grad():
            torch.testing.assert_close(layer(x, lengths=lengths, reset=reset)[0], ragged)
            torch.testing.assert_close(layer(x)[0], inference)
            if not layer.bidirectional:
                assert torch.equal(
                    torch.stack(list(layer.stream(x))).isfinite(), torch.ones(5, 2, 4, dtype=torch.bool, device="cpu")
                )


@pytest.mark.parametrize("dense", [False, True])
def test_a_negative_bit_is_a_sign(dense: bool):
    layer, x = layer_and_input()
    negative = torch._neg_view(-x) if dense else torch.complex(torch.zeros_like(x), -x).conj().imag
    assert negative.is_neg()
    assert torch.equal(negative, x)
    for _ in range(4):
        torch.testing.assert_close(outcome(layer, negative), outcome(layer, x))
    state = torch.randn(1, 2, 4, dtype=torch.float64)
    signed = torch._neg_view(-state) if dense else torch.complex(torch.zeros_like(state), -state).conj().imag
    with torch.no_grad(), layer.frozen():
        for _ in range(3):
            torch.testing.assert_close(layer(negative, (signed, state))[0], layer(x, (state, state))[0])
            torch.testing.assert_close(layer.step(negative[0], (signed, state))[0], layer.step(x[0], (state, state))[0])


@pytest.mark.parametrize("name", ["input", "weight_hh_l0"])
@pytest.mark.parametrize("grad", [False, True])
def test_a_storage_without_memory(name: str, grad: bool):
    layer, x = layer_and_input()
    with torch.set_grad_enabled(grad):
        for _ in range(3):
            layer(x)
        (x if name == "input" else layer.weight_hh_l0.data).untyped_storage().resize_(0)
        with pytest.raises(ValueError, match=r"expected values for its shape .*, got a tensor whose storage is empty"):
            layer(x)


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 2}], ids=str)
def test_many_gradients_at_once(options: dict[str, object]):
    layer, x = layer_and_input(**options)
    x.requires_grad_()
    above = torch.randn(3, 5, 2, 4, dtype=torch.float64)
    output, _ = layer(x)
    each = [torch.autograd.grad(output, x, one, retain_graph=True)[0] for one in above]
    (together,) = torch.autograd.grad(output, x, above, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(together, torch.stack(each))
    first = torch.autograd.functional.jacobian(lambda x: layer(x)[0], x)
    torch.testing.assert_close(torch.autograd.functional.jacobian(lambda x: layer(x)[0], x, vectorize=True), first)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], x, check_batched_grad=True)


@pytest.mark.parametrize("wrong", ["x", "initial", "parameter", "dtype"])
def test_a_recorded_program_on_other_shapes(wrong: str):
    layer, x = layer_and_input()
    initial, parameters = [torch.zeros(1, 2, 4, dtype=torch.float64)] * 2, [one.detach() for one in layer.parameters()]
    if wrong == "x":
        x = torch.randn(5, 2, 300, dtype=torch.float64)
    elif wrong == "initial":
        initial = [initial[0], torch.zeros(1, 3, 4, dtype=torch.float64)]
    elif wrong == "parameter":
        parameters[1] = parameters[1][:8]
    else:
        parameters[0] = parameters[0].float()
    with pytest.raises(ValueError, match=r"gatewise::recurrent: .*: expected"):
        operators.recurrent(
            x, initial, parameters, None, None, None, layer.cell.text, "forward", "", False, None, "auto", None
        )
