"""Single layers from and to torch.nn."""

from itertools import product

import pytest
import torch
from torch import nn

import gatewise
from tests.user_cells import lstm_forget_first

KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {}), ("LSTM", {"proj_size": 2})]
FLAGS = list(product(range(5), (1, 2), (True, False), (True, False), (True, False)))
X = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))


def made(kind: int, layers: int, bias: bool, batch_first: bool, both: bool) -> nn.Module:
    name, options = KINDS[kind]
    return getattr(nn, name)(
        3, 4, layers, bias=bias, batch_first=batch_first, bidirectional=both, **options, dropout=0.25 * (layers - 1)
    ).eval()


@pytest.mark.parametrize(("kind", "layers", "bias", "batch_first", "both"), FLAGS)
def test_layers_go_in_and_out(kind: int, layers: int, bias: bool, batch_first: bool, both: bool):
    of_torch = made(kind, layers, bias, batch_first, both)
    ours = gatewise.from_torch(of_torch)
    assert type(ours) is getattr(gatewise, type(of_torch).__name__)
    torch.testing.assert_close(ours(X), of_torch(X))
    back = gatewise.to_torch(ours)
    assert type(back) is type(of_torch)
    assert str(back) == str(of_torch)
    assert not back.training
    for name, parameter in of_torch.named_parameters():
        assert getattr(ours, name) is getattr(back, name) is parameter
    torch.testing.assert_close(back(X), of_torch(X), rtol=0, atol=0)


@pytest.mark.parametrize(("kind", "bias"), list(product(("RNNCell", "LSTMCell", "GRUCell"), (True, False))))
def test_cells_go_in_and_out(kind: str, bias: bool):
    of_torch = getattr(nn, kind)(3, 4, bias)
    ours = gatewise.from_torch(of_torch)
    torch.testing.assert_close(ours(X[0]), of_torch(X[0]))
    back = gatewise.to_torch(ours)
    assert str(back) == str(of_torch)
    assert all(one is other for one, other in zip(back.parameters(), of_torch.parameters(), strict=True))


def test_mode_gradients_dtype_and_own_attributes_are_kept():
    of_torch = nn.LSTM(3, 4, dtype=torch.float64)
    of_torch.bias_hh_l0.requires_grad_(False)
    of_torch.label = "encoder"
    ours = gatewise.from_torch(of_torch)
    assert ours.training
    assert ours.weight_hh_l0.dtype == torch.float64
    assert not ours.bias_hh_l0.requires_grad
    with ours.frozen():
        ours(X.double())
    back = gatewise.to_torch(ours)
    assert ours.label == back.label == "encoder"
    assert "_packed" not in vars(back)
    assert gatewise.from_torch(of_torch.eval()).training is False


def test_tied_parameters_stay_tied():
    of_torch = nn.GRU(4, 4, 2)
    of_torch.weight_hh_l1 = of_torch.weight_hh_l0
    ours = gatewise.from_torch(of_torch)
    assert ours.weight_hh_l1 is ours.weight_hh_l0
    assert gatewise.to_torch(ours).weight_hh_l1 is ours.weight_hh_l0


def test_nothing_is_drawn_at_random():
    of_torch, state = nn.LSTM(3, 4), torch.get_rng_state()
    gatewise.to_torch(gatewise.from_torch(of_torch))
    assert torch.equal(torch.get_rng_state(), state)


class Derived(nn.LSTM):
    pass


class DerivedOwn(gatewise.LSTM):
    pass


def hooked(hook: str) -> nn.Module:
    module = nn.LSTM(3, 4)
    getattr(module, hook)(lambda *arguments: None)
    return module


def normed(module: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")


def patched(module: nn.Module) -> nn.Module:
    module.forward = lambda x: x
    return module


def with_buffer(module: nn.Module) -> nn.Module:
    module.register_buffer("scale", torch.ones(1))
    return module


REFUSED = {
    r"test_torch_layers\.Derived, a subclass of torch\.nn\.LSTM, whose own code would be lost": lambda: Derived(3, 4),
    "its weight_hh_l0 are parametrized": lambda: normed(nn.LSTM(3, 4)),
    r"it has forward hooks \(hooked": lambda: hooked("register_forward_hook"),
    "it has forward pre-hooks": lambda: hooked("register_forward_pre_hook"),
    "it has backward hooks": lambda: hooked("register_full_backward_hook"),
    "it has backward pre-hooks": lambda: hooked("register_full_backward_pre_hook"),
    "it has state_dict hooks": lambda: hooked("register_state_dict_post_hook"),
    "it has load_state_dict pre-hooks": lambda: hooked("register_load_state_dict_pre_hook"),
    "its forward was replaced on the instance": lambda: patched(nn.LSTM(3, 4)),
    r"are not those of torch\.nn\.LSTM \(scale added or missing\)": lambda: with_buffer(nn.LSTM(3, 4)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_taken_in(message: str):
    with pytest.raises(ValueError, match=rf"from_torch: .*{message}"):
        gatewise.from_torch(REFUSED[message]())


NOT_OUT = {
    "torch.nn does not have its cell, gru_cho2014": lambda: gatewise.GRU(3, 4, variant="cho2014"),
    "torch.nn does not have its cell, peephole_lstm": lambda: gatewise.PeepholeLSTM(3, 4),
    "torch.nn does not have its cell, rnn_sigmoid": lambda: gatewise.RNN(3, 4, nonlinearity="sigmoid"),
    "torch.nn does not have its cell, lstm": lambda: gatewise.LSTM(3, 4, bias="single"),
    "it has reverse=True": lambda: gatewise.LSTM(3, 4, reverse=True),
    "it has return_state=False": lambda: gatewise.LSTM(3, 4, return_state=False),
    "it merges its directions with merge='sum'": lambda: gatewise.BiLSTM(3, 4, merge="sum"),
    r"stacked in the order f i g o, those of torch\.nn\.LSTM in the order i f g o": lambda: gatewise.Recurrent(
        lstm_forget_first, 3, 4
    ),
    r"DerivedOwn, a subclass of gatewise\.LSTM": lambda: DerivedOwn(3, 4),
    "its weight_hh_l0 are parametrized": lambda: normed(gatewise.LSTM(3, 4)),
}


@pytest.mark.parametrize("message", NOT_OUT)
def test_what_torch_does_not_have(message: str):
    with pytest.raises(ValueError, match=f"to_torch: .*{message}"):
        gatewise.to_torch(NOT_OUT[message]())


def test_other_modules():
    with pytest.raises(TypeError, match=r"from_torch: expected a torch\.nn\.RNN, .*, got Linear"):
        gatewise.from_torch(nn.Linear(3, 4))
    with pytest.raises(TypeError, match=r"from_torch: .*got LSTM"):
        gatewise.from_torch(gatewise.LSTM(3, 4))
    with pytest.raises(TypeError, match=r"to_torch: .*got LSTM"):
        gatewise.to_torch(nn.LSTM(3, 4))


@pytest.mark.parametrize("kind", [gatewise.BiRNN, gatewise.BiLSTM, gatewise.BiGRU])
def test_classes_in_both_directions(kind: type):
    ours = kind(3, 4, 2)
    of_torch = gatewise.to_torch(ours)
    assert of_torch.bidirectional
    torch.testing.assert_close(of_torch(X)[0], ours(X)[0])


def test_the_general_class():
    ours = gatewise.Recurrent("lstm", 3, 4, batch_first=True)
    torch.testing.assert_close(gatewise.to_torch(ours)(X)[0], ours(X)[0])
