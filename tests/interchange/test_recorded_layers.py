"""Layers made from a state dict that records their cells."""

from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.cells import lookup
from gatewise.interchange import declare
from gatewise.interchange.recorded_layers import recorded_layers

X = torch.randn(5, 2, 3)

LAYERS: dict[str, Any] = {
    "lstm": gatewise.LSTM(3, 4),
    "two layers in both directions": gatewise.GRU(3, 4, 2, variant="chung2014", bidirectional=True),
    "learned merge": gatewise.BiLSTM(3, 4, 2, merge="learned"),
    "single bias": gatewise.LSTM(3, 4, bias="single"),
    "no bias": gatewise.GRU(3, 4, bias=False),
    "peepholes": gatewise.PeepholeLSTM(3, 4, peephole="full"),
    "projection": gatewise.LSTM(3, 5, 2, bidirectional=True, proj_size=4),
    "heads": gatewise.Recurrent("slstm", 3, 4, 2, heads=2),
    "double": gatewise.RNN(3, 4, dtype=torch.float64),
}


def equal(found: Any, expected: Any) -> bool:
    x = X.to(next(expected.parameters()).dtype)
    return torch.equal(found(x)[0], expected(x)[0])


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_made_again(name: str):
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"rnn": LAYERS[name]}), "head": nn.Linear(4, 2)})
    layers, others = recorded_layers(model.state_dict())
    assert list(layers) == ["encoder.rnn"]
    assert others == ["head.weight", "head.bias"]
    assert equal(layers["encoder.rnn"], LAYERS[name])


def test_several_layers_and_one_without_a_path():
    model = nn.ModuleDict({"a": gatewise.LSTM(3, 4), "b": gatewise.GRU(3, 4, variant="cho2014")})
    layers, others = recorded_layers(model.state_dict())
    assert not others
    assert all(equal(layer, model[path]) for path, layer in layers.items())
    assert equal(recorded_layers(model["a"].state_dict())[0][""], model["a"])


def test_a_step_of_torch():
    step = nn.LSTMCell(3, 4)
    state = declare(nn.ModuleDict({"step": step}).state_dict(), "lstm")
    layers, others = recorded_layers(state)
    assert not others
    torch.testing.assert_close(layers["step"](X[:1])[0][0], step(X[0])[0])


def test_gates_in_another_order_are_reordered():
    layer = gatewise.LSTM(3, 4)
    order = ("f", "o", "i", "g")
    moved = {
        name: torch.cat([weight.chunk(4)[lookup("lstm").gates.index(gate)] for gate in order])
        for name, weight in layer.state_dict().items()
    }
    layers, _ = recorded_layers(declare(moved, "lstm", order))
    assert equal(layers[""], layer)


def test_what_is_not_in_weights_is_an_error():
    state = gatewise.BiGRU(3, 4, 2, merge="sum").state_dict()
    with pytest.raises(ValueError, match=r"layer \(without a name\): its directions are merged into one width"):
        recorded_layers(state)
    state = nn.ModuleDict({"a": gatewise.LSTM(3, 4)}).state_dict()
    del state["a.weight_hh_l0"]
    with pytest.raises(ValueError, match=r"layer a: .*weight_hh_l0"):
        recorded_layers(state)
    del state["a.weight_ih_l0"]
    with pytest.raises(ValueError, match="layer a: expected weights of its cell lstm, such as weight_ih_l0"):
        recorded_layers(state)
