"""The states after every step, with gradients through them, in every form of a call."""

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise
from gatewise.kernels.cpu import execution
from gatewise.layers import Recurrent
from tests.agreement import Way
from tests.kernels.engine import needs_engine
from tests.layers.stepwise import LENGTHS, MASK, RESET, B, T, check

OPTIONS: dict[str, dict[str, Any]] = {
    "forward": {},
    "reverse, repeat": {"reverse": True, "masked_output": "repeat"},
    "both, summed": {"bidirectional": True, "merge": "sum", "num_layers": 2, "batch_first": True},
    "both, a pair, repeat": {"bidirectional": True, "merge": None, "masked_output": "repeat"},
}


@needs_engine
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        *(("lstm", options) for options in OPTIONS),
        ("slstm", "both, summed"),
        ("lstm_layer_norm", "both, a pair, repeat"),
        ("gru_cudnn", "forward"),
    ],
)
def test_values_and_gradients(cell: str, options: str):
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 5, init="torch", dtype=torch.float64, return_states=True, **OPTIONS[options])
    ways = (Way("cpu"), Way("cpu", 2, through_operators=True), Way("reference", 2), Way("reference"))
    check(layer, ways, MASK, lengths=LENGTHS, reset=RESET)
    check(layer, ways[:2], torch.ones_like(MASK))


@needs_engine
def test_units_split_among_threads_and_single_precision(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    monkeypatch.setattr(execution, "team", lambda: (3, 1))  # three slices, on one thread
    layer = Recurrent("lstm", 3, 70, init="torch", return_states=True, bidirectional=True)
    check(layer, [Way("cpu")], torch.ones_like(MASK), lengths=LENGTHS, reset=RESET)


def test_the_form_of_what_is_returned():
    x, lengths = torch.randn(B, T, 3), torch.tensor([7, 6, 4, 2, 3])
    layer = gatewise.LSTM(3, 4, bidirectional=True, merge="sum", batch_first=True, return_states=True)
    output, _, (h, c) = layer(x, lengths=lengths)
    assert h.shape == c.shape == (B, T, 8)
    torch.testing.assert_close(output, h[..., :4] + h[..., 4:])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    of_packed = layer(packed)[2][1]
    torch.testing.assert_close(pad_packed_sequence(of_packed, batch_first=True)[0], c)
    nested = torch.nested.nested_tensor([x[b, : lengths[b]] for b in range(B)], layout=torch.jagged)
    for b, row in enumerate(layer(nested)[2][1].unbind()):
        torch.testing.assert_close(row, c[b, : lengths[b]])
    torch.testing.assert_close(layer(x[0])[2][1], layer(x[:1])[2][1][0])
    rnn = gatewise.RNN(3, 4, return_states=True)
    output, _, states = rnn(x)
    assert torch.equal(states, output)
    projected = gatewise.LSTM(3, 4, proj_size=2, return_states=True, dtype=torch.float64)
    given = x[:3, :2].double().requires_grad_()
    _, (_, c_n), (h, c) = projected(given)
    assert (h.shape, c.shape) == ((3, 2, 2), (3, 2, 4))
    assert torch.equal(c[-1], c_n[0])
    assert torch.autograd.gradcheck(lambda x: projected(x)[2], given)
    # A compiler works with the shapes that the operator declares.
    compiled = torch.compile(
        lambda x: torch.cat(projected(x)[2], -1).view(3, 2, 6), fullgraph=True, backend="aot_eager"
    )
    torch.testing.assert_close(compiled(given), torch.cat([h, c], -1))
    with torch.no_grad():  # of a stack that otherwise runs as one call
        deep = gatewise.LSTM(3, 4, 2, return_states=True)
        output, (_, c_n), (h, c) = deep(x)
    assert torch.equal(h, output)
    assert torch.equal(c[-1], c_n[-1])


@needs_engine
def test_compiled_transformed_and_watched():
    torch.manual_seed(0)
    layer = gatewise.LSTM(3, 4, return_states=True, dtype=torch.float64)
    x = torch.randn(T, B, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(T, B, 4, dtype=torch.float64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (layer(x)[2][1] * weight).sum()

    (expected,) = torch.autograd.grad(loss(x), x)
    (compiled,) = torch.autograd.grad(torch.compile(loss, fullgraph=True, backend="aot_eager")(x), x)
    torch.testing.assert_close(compiled, expected)
    torch.testing.assert_close(torch.func.grad(loss)(x), expected)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[2][1][:2], x[:3, :2].detach().requires_grad_())
    with gatewise.watch(layer) as trace:
        (layer(x)[2][1][2] * weight[2]).sum().backward()
    assert trace.gradient_flow()["c"].gt(0).flatten().tolist() == [True] * 3 + [False] * 4


def test_stacks_of_layers():
    stack = gatewise.Stack([gatewise.LSTM(3, 4, return_states=True), gatewise.GRU(4, 2)])
    x = torch.randn(T, B, 3)
    output, ((_, c_n), _), ((h, c), nothing) = stack(x)
    assert nothing is None
    assert torch.equal(c[-1], c_n[0])
    assert torch.equal(stack[1](h)[0], output)


def test_refusals():
    with pytest.raises(ValueError, match="return_states: return_state=False returns the output alone"):
        gatewise.LSTM(3, 4, return_states=True, return_state=False)
    layer, x = gatewise.LSTM(3, 4, return_states=True, backend="torch"), torch.randn(T, B, 3)
    with pytest.raises(ValueError, match="torch's kernels return only the last of the states c"):
        layer(x)
    with pytest.raises(ValueError, match=r"TBPTT: expected a layer that returns \(output, state\)"):
        next(iter(gatewise.TBPTT(2, 2).windows(x))).run(layer)
