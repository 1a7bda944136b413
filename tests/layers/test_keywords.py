"""Arguments of other libraries, and misspelled ones, are answered with ours."""

import inspect
import re
from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.layers import keywords

OF_LAYERS = [
    (gatewise.LSTM, "units", "; did you mean hidden_size?"),
    (gatewise.LSTM, "hidden", "; did you mean hidden_size?"),
    (gatewise.LSTM, "hiden_size", "; did you mean hidden_size?"),
    (gatewise.LSTM, "Bidirectional", "; did you mean bidirectional?"),
    (gatewise.BiLSTM, "bidirectional", "; both directions are read already"),
    (gatewise.LSTM, "go_backwards", "; did you mean reverse?"),
    (gatewise.LSTM, "merge_mode", "; did you mean merge?"),
    (
        gatewise.LSTM,
        "return_sequences",
        "; a layer returns the outputs of all steps and the final state: output, state",
    ),
    (gatewise.LSTM, "stateful", "; pass the state of the last call"),
    (gatewise.GRU, "reset_after", "; did you mean variant?"),
    (gatewise.Recurrent, "reset_after", "; the forms of a GRU are cells of their own"),
    (gatewise.RNN, "activation", "; did you mean nonlinearity?"),
    (gatewise.LSTM, "activation", "; the gates' activations are part of a cell's equations"),
    (gatewise.BiGRU, "proj_size", "; gatewise.LSTM and gatewise.PeepholeLSTM have projections"),
    (gatewise.PeepholeLSTM, "use_peepholes", "; did you mean peephole?"),
    (gatewise.LSTM, "xyz", ". The arguments are: input_size, hidden_size, num_layers, bias, batch_first"),
]


@pytest.mark.parametrize(("layer", "name", "hint"), OF_LAYERS, ids=lambda one: getattr(one, "__name__", None))
def test_of_layers(layer: Any, name: str, hint: str):
    sizes = ("lstm", 3, 4) if layer is gatewise.Recurrent else (3, 4)
    with pytest.raises(TypeError, match="^" + re.escape(f"{layer.__name__}: unknown argument '{name}'{hint}")):
        layer(*sizes, **{name: 1})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("initial_state", "; did you mean hx?"),
        ("h0", "; did you mean hx?"),
        ("seq_len", "; did you mean lengths?"),
        ("attention_mask", "; did you mean mask?"),
        ("is_init", "; did you mean reset?"),
        ("training", "; layer.train() and layer.eval() set the mode"),
        ("lenghts", "; did you mean lengths?"),
    ],
)
def test_of_calls(name: str, hint: str):
    layer: Any = gatewise.GRU(3, 4)
    with pytest.raises(TypeError, match="^" + re.escape(f"GRU.forward: unknown argument '{name}'{hint}")):
        layer(torch.randn(5, 2, 3), **{name: None})
    stack: Any = gatewise.Stack([layer])
    with pytest.raises(TypeError, match="^" + re.escape(f"Stack.forward: unknown argument '{name}'{hint}")):
        stack(torch.randn(5, 2, 3), **{name: None})


@pytest.mark.parametrize(
    "layer", [gatewise.GRU(3, 4), gatewise.Stack([gatewise.GRU(3, 4)])], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize(
    ("method", "name", "meant"),
    [
        ("step", "initial_state", "state"),
        ("step", "hx", "state"),
        ("stream", "h0", "state"),
        ("stream", "is_init", "reset"),
        ("backend_for", "state", "hx"),
        ("backend_for", "attention_mask", "mask"),
    ],
)
def test_of_other_methods(layer: Any, method: str, name: str, meant: str):
    owner = f"{type(layer).__name__}.{method}"
    with pytest.raises(TypeError, match=rf"^{owner}: unknown argument '{name}'; did you mean {meant}\?$"):
        getattr(layer, method)(torch.randn(2, 3), **{name: None})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("merge", "; merge is an argument of each layer in it"),
        ("merge_mode", "; merge is an argument of each layer in it"),
        ("bidirectional", "; bidirectional is an argument of each layer in it"),
        ("units", "; hidden_size is an argument of each layer in it"),
        ("drop", "; did you mean dropout?"),
        ("xyz", ". The arguments are: layers, dropout, return_state"),
    ],
)
def test_of_a_stack(name: str, hint: str):
    made: Any = gatewise.Stack
    with pytest.raises(TypeError, match="^" + re.escape(f"Stack: unknown argument '{name}'{hint}") + "$"):
        made([gatewise.GRU(3, 4)], **{name: 1})


def test_of_a_step_of_torch():
    cell: Any = gatewise.LSTMCell(3, 4)
    with pytest.raises(TypeError, match=r"^LSTMCell\.forward: unknown argument 'state'; did you mean hx\?$"):
        cell(torch.randn(2, 3), state=None)


@pytest.mark.parametrize(
    ("layer", "option", "value", "meant"),
    [
        (gatewise.BiLSTM, "merge", "ave", "'mean'"),
        (gatewise.BiLSTM, "merge", "Sum", "'sum'"),
        (gatewise.GRU, "variant", "reset_after", "'cudnn'"),
        (gatewise.GRU, "variant", "reset_before", "'cho2014' or 'chung2014'"),
        (gatewise.RNN, "nonlinearity", "ReLU", "'relu'"),
        (gatewise.PeepholeLSTM, "peephole", "diag", "'diagonal'"),
        (gatewise.LSTM, "init", "ortogonal", "'orthogonal'"),
        (gatewise.LSTM, "masked_output", "previous", "'repeat'"),
    ],
)
def test_choices(layer: Any, option: str, value: str, meant: str):
    with pytest.raises(ValueError, match=rf"^{option}: expected .*, got '{value}'; did you mean {meant}\?$"):
        layer(3, 4, **{option: value})


def test_suggested_arguments_exist():
    layers = (gatewise.Recurrent, gatewise.RNN, gatewise.LSTM, gatewise.GRU, gatewise.PeepholeLSTM)
    ours = {name for layer in layers for name in inspect.signature(layer.__init__).parameters}
    ours |= {
        name
        for call in ("forward", "step", "stream")
        for name in inspect.signature(getattr(gatewise.LSTM, call)).parameters
    }
    for meaning in keywords._MEANINGS.values():
        for one in () if isinstance(meaning, str) else meaning:
            assert " " in one or one in ours


def test_arguments_for_other_libraries():
    layer = gatewise.LSTM(3, 4, batch_first=True)
    x, lengths = torch.randn(2, 5, 3), torch.tensor([2, 5])
    sorted_first, _ = layer(x, lengths=lengths, enforce_sorted=False)  # as pytorch-forecasting calls
    assert torch.equal(sorted_first, layer(x, lengths=lengths)[0])
    stack = gatewise.Stack([layer])
    assert torch.equal(stack(x, lengths=lengths, enforce_sorted=False)[0], sorted_first)


def test_the_output_alone():
    alone = gatewise.GRU(3, 4, return_state=False)
    model = nn.Sequential(alone, nn.Linear(4, 2))
    x = torch.randn(5, 2, 3)
    assert model(x).shape == (5, 2, 2)
    output, state = torch.nn.utils.rnn.pack_sequence([x[:, 0], x[:3, 1]]), alone.step(x[0])[1]
    assert isinstance(alone(output), torch.nn.utils.rnn.PackedSequence)
    assert state.shape == (1, 2, 4)
    with gatewise.watch(model) as trace:
        model(x).square().sum().backward()
    assert trace.gradient_flow()["0.h" if "0.h" in trace.gradient_flow() else "h"].shape == (5,)
    with pytest.raises(ValueError, match="TBPTT: expected a layer that returns its state"):
        next(iter(gatewise.TBPTT(2, 2).windows(x))).run(alone)


def test_gradients_of_each_sample():
    """As Opacus takes them: a layer without a state returned, under grad and vmap."""
    layer = gatewise.LSTM(3, 4, batch_first=True, return_state=False)
    weights = {name: one.detach() for name, one in layer.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, weights, (x[None],)).square().sum()

    x = torch.randn(3, 5, 3)
    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    whole = torch.autograd.grad(layer(x).square().sum(), layer.weight_hh_l0)[0]
    torch.testing.assert_close(found["weight_hh_l0"].sum(0), whole, rtol=1e-4, atol=1e-5)
