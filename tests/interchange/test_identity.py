"""Declaring of which cell weights are."""

from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.cells import lookup
from gatewise.interchange import declare
from gatewise.interchange.identity import declare_as, from_header, identities_of, to_header

X = torch.randn(5, 2, 3)


def plain(state):
    return dict(state.items())


@pytest.mark.parametrize("bias", [True, "single", False])
@pytest.mark.parametrize("name", ["lstm", "gru_cho2014", "gru_cudnn", "peephole_lstm", "rnn_sigmoid"])
def test_declared_weights_load(name, bias):
    saved = gatewise.Recurrent(name, 3, 4, 2, bias, bidirectional=True)
    layer = gatewise.Recurrent(name, 3, 4, 2, bias, bidirectional=True)
    state = plain(saved.state_dict())
    declared = declare(state, name)
    assert not hasattr(state, "_metadata")
    layer.load_state_dict(declared)
    assert torch.equal(layer(X)[0], saved(X)[0])


def test_declared_gates_are_reordered():
    of_torch, layer = nn.LSTM(3, 4), gatewise.LSTM(3, 4)
    order = ["g", "o", "i", "f"]
    state = {
        name: torch.cat([dict(zip("ifgo", weight.chunk(4), strict=True))[gate] for gate in order])
        for name, weight in of_torch.state_dict().items()
    }
    layer.load_state_dict(declare(state, "lstm", order))
    torch.testing.assert_close(layer(X)[0], of_torch(X)[0])


def test_layers_are_found_by_names_and_shapes():
    model = nn.ModuleDict(
        {
            "gru": gatewise.GRU(3, 4, variant="cho2014"),
            "lstm": gatewise.LSTM(3, 4),
            "cell": nn.GRUCell(3, 4, bias=False),
            "linear": nn.Linear(4, 4),
        }
    )
    found = declare(plain(model.state_dict()), "gru_cho2014")
    assert {path: identity["cell"] for path, identity in identities_of(found).items()} == {
        "gru": "gru_cho2014",
        "cell": "gru_cho2014",
    }
    only = declare(plain(model.state_dict()), "gru_cho2014", prefix="gru")
    assert set(identities_of(only)) == {"gru"}
    both = declare(only, "lstm")
    assert {path: identity["cell"] for path, identity in identities_of(both).items()} == {
        "gru": "gru_cho2014",
        "lstm": "lstm",
    }


def test_layers_of_two_widths_and_of_heads_are_found_by_their_shapes():
    layers = {
        "narrow": gatewise.LSTM(3, 6, proj_size=4),
        "heads": gatewise.Recurrent("slstm", 3, 6, heads=3),
        "whole": gatewise.LSTM(3, 6, bias="single"),
        "linear": nn.Linear(4, 4),
    }
    state = plain(nn.ModuleDict(layers).state_dict())
    assert set(identities_of(declare(state, "lstm_projected"))) == {"narrow"}
    assert set(identities_of(declare(state, "slstm"))) == {"heads", "whole"}
    state["heads.weight_hh_l0"] = torch.zeros(24, 4)  # no divisor of 6
    assert set(identities_of(declare(state, "slstm"))) == {"whole"}


def test_what_cannot_be_declared():
    state = plain(gatewise.LSTM(3, 4).state_dict())
    with pytest.raises(ValueError, match="no weights of the cell gru_cudnn without an identity; expected names ending"):
        declare(state, "gru_cudnn")
    with pytest.raises(ValueError, match="with the prefix 'rnn'"):
        declare(state, "lstm", prefix="rnn")
    with pytest.raises(ValueError, match=r"expected the gates of the cell lstm in some order \(i f g o\), got i f o"):
        declare(state, "lstm", ["i", "f", "o"])
    with pytest.raises(ValueError, match="unknown cell 'gru_cho'"):
        declare(state, "gru_cho")
    with pytest.raises(ValueError, match="without an identity"):
        declare(gatewise.LSTM(3, 4).state_dict(), "lstm")
    wrong: Any
    for wrong in (5, None, [1], torch.ones(2), gatewise.LSTM(3, 4)):
        with pytest.raises(TypeError, match=r"^state_dict: expected tensors by name, got \w+"):
            declare(wrong, "lstm")
        with pytest.raises(TypeError, match=r"^cell: expected a Cell or the name of one, got \w+"):
            declare(state, wrong)
    for wrong in (5, "ifgo", torch.ones(4)):
        with pytest.raises(TypeError, match=r"^gates: expected a list of names, such as "):
            declare(state, "lstm", wrong)


def test_a_header_carries_identities():
    state = nn.ModuleDict({"a": gatewise.PeepholeLSTM(3, 4)}).state_dict()
    assert from_header(to_header(state)) == identities_of(state)
    assert to_header(nn.Linear(3, 2).state_dict()) == {}
    for broken in ("[", "[1]", '{"a": {"cell": "b"}}', "{" * 100_000):
        with pytest.raises(ValueError, match=r"gatewise\.layers in the header is malformed"):
            from_header({"gatewise.layers": broken})


def test_weights_known_to_be_of_a_model():
    model = nn.ModuleDict({"a": gatewise.GRU(3, 4, variant="cho2014"), "b": gatewise.PeepholeLSTM(3, 4)})
    declared = declare_as(plain(model.state_dict()), model)
    assert identities_of(declared) == identities_of(model.state_dict())
    recorded = {"gru_cho2014": lookup("gru_chung2014")}
    with pytest.raises(RuntimeError, match="another function"):
        model.load_state_dict(declare_as(plain(model.state_dict()), model, recorded))
