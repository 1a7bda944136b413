"""Layers whose cells normalise over units: the option, and everything that a layer does besides a sequence."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import gatewise
from gatewise.layers import Recurrent
from tests.layers.oracle import check_steps

NAMES = ("lstm_layer_norm", "lstm_layer_norm_per_gate", "gru_layer_norm")


def layer_of(name: str, **options: Any) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(name, 3, 4, dtype=torch.float64, **options)


def x_of(steps: int = 6, batch: int = 2) -> Tensor:
    return torch.randn(steps, batch, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    ("layer", "cell"),
    [
        (gatewise.LSTM, "lstm_layer_norm"),
        (gatewise.BiLSTM, "lstm_layer_norm"),
        (gatewise.GRU, "gru_layer_norm"),
        (gatewise.BiGRU, "gru_layer_norm"),
    ],
)
def test_the_option_chooses_the_cell(layer: type[Recurrent], cell: str):
    made = layer(3, 4, layer_norm=True)
    assert made.cell.name == cell
    assert made.layer_norm is True
    assert layer(3, 4).layer_norm is False
    for name, parameter in made.named_parameters():
        if name.startswith(("gain", "shift")):
            assert parameter.unique().tolist() == [float(name.startswith("gain"))], name
    with pytest.raises(TypeError, match="layer_norm: expected True or False, got 'yes'"):
        layer(3, 4, layer_norm="yes")


def test_a_normalised_gru_has_one_form():
    with pytest.raises(ValueError, match=r"variant: with layer_norm=True the GRU has one form .*, got 'cho2014'"):
        gatewise.GRU(3, 4, variant="cho2014", layer_norm=True)


def test_weights_of_another_form_are_rejected():
    state = gatewise.LSTM(3, 4, layer_norm=True).state_dict()
    gatewise.LSTM(3, 4, layer_norm=True).load_state_dict(state)
    with pytest.raises(RuntimeError, match="lstm_layer_norm"):
        gatewise.LSTM(3, 4).load_state_dict(state)


@pytest.mark.parametrize("name", NAMES)
def test_steps_and_streams_are_the_sequence(name: str):
    layer, x = layer_of(name, num_layers=2), x_of()
    state, outputs = None, []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    check_steps(layer, outputs, state, x)
    with torch.no_grad():
        stream = layer.stream(x)
        check_steps(layer, list(stream), stream.state, x)


@pytest.mark.parametrize("name", NAMES)
def test_one_window_of_everything_is_the_whole_gradient(name: str):
    layer, x = layer_of(name), x_of()
    whole = copy.deepcopy(layer)
    whole(x)[0].square().mean().backward()
    (window,) = gatewise.TBPTT(6, 6).windows(x, torch.zeros(6, 2, 4, dtype=torch.float64))
    window.mean((window.run(layer) - window.target).square().mean(-1)).backward()
    for one, other in zip(layer.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("name", NAMES)
def test_watched_gates_and_gradients_are_the_references(name: str):
    layer, x = layer_of(name), x_of()
    with gatewise.watch(layer) as trace:
        output, _ = layer(x)
        output.sum().backward()
    gates = trace.gates()
    assert tuple(gates) == layer.cell.gates
    with gatewise.watch(reference := copy.deepcopy(layer)) as expected:
        reference.backend = "reference"
        reference(x)[0].sum().backward()
    for name in gates:
        torch.testing.assert_close(gates[name], expected.gates()[name])
    torch.testing.assert_close(trace.gradient_flow()["h"], expected.gradient_flow()["h"])


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_and_transforms(name: str):
    layer = layer_of(name)
    x = x_of(3, 2).requires_grad_()
    assert gradcheck(lambda x: layer(x)[0], (x,))
    assert gradgradcheck(lambda x: layer(x)[0], (x,))
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return torch.func.functional_call(layer, parameters, (row[:, None],))[0].square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x.detach())
    layer(x.detach())[0].square().sum().backward()
    for key, parameter in parameters.items():
        torch.testing.assert_close(each[key].sum(0), parameter.grad)


def test_one_row_runs_on_one_thread_and_the_choice_says_so(monkeypatch: pytest.MonkeyPatch):
    layer = layer_of("lstm_layer_norm")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    if layer.backend_for(x_of()).name != "cpu":
        pytest.skip("no engine here")
    said = "sums over units need whole rows, so one row runs on one thread"
    assert said in layer.backend_for(x_of(batch=1)).reason
    assert said not in layer.backend_for(x_of()).reason
    assert said not in layer_of("lstm").backend_for(x_of(batch=1)).reason
