"""Whole models from and to torch.nn."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise


class Tagger(nn.Module):
    """Embedding, two bidirectional layers, a linear map to tags; as written for torch."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 6)
        self.rnn = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        output, _ = self.rnn(packed)
        return self.head(pad_packed_sequence(output, batch_first=True)[0])


WORDS = torch.randint(50, (3, 7), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([4, 7, 2])


def tagger() -> Tagger:
    torch.manual_seed(1)
    return Tagger()


def test_a_tagger_in_out_and_back_bit_for_bit():
    model = tagger()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    expected = model(WORDS, LENGTHS)
    report = gatewise.replace(model)
    assert report.model is model
    assert str(report) == "rnn: torch.nn.LSTM → gatewise.LSTM"
    assert type(model.rnn) is gatewise.LSTM
    torch.testing.assert_close(model(WORDS, LENGTHS), expected)
    state = model.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weight) for name, weight in weights.items())
    fresh = Tagger()
    fresh.load_state_dict(state, strict=True)  # our weights into torch's model
    assert torch.equal(fresh(WORDS, LENGTHS), expected)
    gatewise.replace(model, to="torch")
    assert type(model.rnn) is nn.LSTM
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in weights.items())
    assert torch.equal(model(WORDS, LENGTHS), expected)


def test_an_optimizer_made_before_continues():
    results = []
    for swapped in (False, True):
        model = tagger()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        parameters = list(model.parameters())
        for step in range(4):
            if swapped and step in (1, 3):
                gatewise.replace(model, to="gatewise" if step == 1 else "torch")
            assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
            optimizer.zero_grad()
            model(WORDS, LENGTHS).square().sum().backward()
            optimizer.step()
        results.append(model(WORDS, LENGTHS).detach())
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


def test_a_layer_in_two_places_stays_one_and_tied_parameters_stay_tied():
    shared = nn.GRU(3, 3)
    other = nn.GRU(3, 3)
    other.weight_hh_l0 = shared.weight_hh_l0
    model = nn.ModuleDict({"a": nn.Sequential(shared), "b": shared, "c": nn.ModuleList([other, nn.LSTMCell(3, 4)])})
    count = len(list(model.parameters()))
    report = gatewise.replace(model)
    assert set(report.replaced) == {"a.0", "b", "c.0", "c.1"}
    assert report.replaced["c.1"] == "torch.nn.LSTMCell → gatewise.LSTMCell"
    assert model["a"][0] is model["b"]
    assert model["c"][0].weight_hh_l0 is model["b"].weight_hh_l0 is shared.weight_hh_l0
    assert len(list(model.parameters())) == count


def test_a_layer_itself():
    layer = nn.GRU(3, 4)
    report = gatewise.replace(layer)
    assert type(report.model) is gatewise.GRU
    assert report.model.weight_ih_l0 is layer.weight_ih_l0
    assert str(report) == "(the model itself): torch.nn.GRU → gatewise.GRU"


def test_nothing_to_replace():
    assert str(gatewise.replace(nn.Linear(2, 2))) == "no recurrent layers found"


def refused_model() -> nn.Module:
    normed = nn.utils.parametrizations.weight_norm(nn.LSTM(3, 4), "weight_ih_l0")
    hooked = nn.LSTM(3, 4)
    hooked.register_forward_hook(print)
    return nn.ModuleDict(
        {
            "plain": nn.LSTM(3, 4),
            "inner": nn.ModuleDict({"normed": normed, "hooked": hooked}),
        }
    )


def test_what_cannot_be_replaced_is_named_with_its_path_and_nothing_changes():
    model = refused_model()
    with pytest.raises(ValueError, match=r"(?s)inner\.normed: its weight_ih_l0 .*inner\.hooked: it has forward hooks"):
        gatewise.replace(model)
    assert type(model["plain"]) is nn.LSTM
    report = gatewise.replace(model, strict=False)
    assert type(model["plain"]) is gatewise.LSTM
    assert set(report.replaced) == {"plain"}
    assert set(report.kept) == {"inner.normed", "inner.hooked"}


def test_back_what_torch_does_not_have():
    model = nn.ModuleDict({"a": gatewise.LSTM(3, 4), "b": gatewise.PeepholeLSTM(3, 4)})
    with pytest.raises(ValueError, match=r"b: torch\.nn does not have its cell, peephole_lstm"):
        gatewise.replace(model, to="torch")
    assert str(gatewise.replace(model, to="torch", strict=False)).startswith("a: gatewise.LSTM → torch.nn.LSTM\nb: not")


def test_the_layers_of_a_stack_stay():
    model = nn.ModuleDict({"a": gatewise.Stack([gatewise.LSTM(3, 4), gatewise.LSTM(4, 5)])})
    with pytest.raises(ValueError, match=r"a\.0: it is a layer of a gatewise\.Stack"):
        gatewise.replace(model, to="torch")


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_scripted_modules_are_named():
    model = nn.ModuleDict({"a": torch.jit.script(nn.LSTM(3, 4))})
    with pytest.raises(ValueError, match="a: it is compiled by TorchScript"):
        gatewise.replace(model)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="to: expected 'gatewise' or 'torch', got 'keras'"):
        gatewise.replace(nn.LSTM(3, 4), to="keras")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module, got dict"):
        gatewise.replace({})  # pyright: ignore[reportArgumentType]
