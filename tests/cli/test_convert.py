"""``gatewise convert``."""

import pytest
import torch
from torch import nn

import gatewise
from gatewise.interchange.identity import identities_of
from tests import user_cells
from tests.cli.command_line import check_mistake, leave

OWN = f"{user_cells.__file__}:lstm_forget_first"
X = torch.randn(5, 2, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def model_of(rnn: nn.Module) -> nn.Module:
    return nn.ModuleDict({"rnn": rnn, "head": nn.Linear(8, 2)})


def test_a_checkpoint_of_torch_and_back(folder, capsys):
    model = model_of(nn.LSTM(3, 4, 2, bidirectional=True))
    torch.save(
        {"epoch": 3, "state_dict": model.state_dict(), "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, "a.pt"
    )
    assert leave("convert", "a.pt", "--to", "safetensors", "-o", "a.safetensors", "--cell", "lstm") == 0
    assert capsys.readouterr().out == "rnn: lstm, gates i f g o\nwritten: a.safetensors\n"
    assert leave("convert", "a.safetensors", "--to", "torch", "--out", "b.pt") == 0
    state = torch.load("b.pt", weights_only=True)
    assert list(state) == sorted(state)
    for one in (model_of(nn.LSTM(3, 4, 2, bidirectional=True)), model_of(gatewise.BiLSTM(3, 4, 2))):
        one.load_state_dict(state)
        assert all(torch.equal(one.state_dict()[name], weight) for name, weight in model.state_dict().items())
    assert set(identities_of(state)) == {"rnn"}


def test_own_weights_tell_their_cell(folder, capsys):
    layer = gatewise.GRU(3, 4, variant="cho2014")
    torch.save(layer.state_dict(), "own.pt")
    assert leave("convert", "own.pt", "--to", "safetensors", "-o", "own.safetensors") == 0
    assert leave("convert", "own.safetensors", "--to", "torch", "-o", "back.pt") == 0
    assert "(one layer): gru_cho2014, gates r z n" in capsys.readouterr().out
    other = gatewise.GRU(3, 4, variant="cho2014")
    other.load_state_dict(torch.load("back.pt", weights_only=True))
    assert torch.equal(other(X)[0], layer(X)[0])
    with pytest.raises(RuntimeError, match="another function"):
        gatewise.GRU(3, 4, variant="chung2014").load_state_dict(torch.load("back.pt", weights_only=True))


@pytest.mark.parametrize(
    "layer",
    [
        gatewise.LSTM(3, 5, 2, bidirectional=True, proj_size=4),
        gatewise.PeepholeLSTM(3, 5, proj_size=4),
        gatewise.Recurrent("slstm", 3, 4, heads=2),
    ],
    ids=lambda layer: layer.cell.name,
)
def test_projections_and_heads_are_converted(folder, capsys, layer: gatewise.Recurrent):
    name = layer.cell.name
    torch.save(dict(layer.state_dict()), "bare.pt")
    assert leave("convert", "bare.pt", "--to", "safetensors", "-o", "own.safetensors", "--cell", name) == 0
    assert leave("convert", "own.safetensors", "--to", "torch", "-o", "back.pt") == 0
    assert f"(one layer): {name}, gates {' '.join(layer.cell.gates)}" in capsys.readouterr().out
    back = torch.load("back.pt", weights_only=True)
    assert identities_of(back)[""]["cell"] == name
    assert all(torch.equal(back[key], weight) for key, weight in layer.state_dict().items())


def test_keras_has_no_such_cell(folder, capsys):
    pytest.importorskip("h5py")
    torch.save(dict(gatewise.Recurrent("slstm", 3, 4, heads=2).state_dict()), "bare.pt")
    assert leave("convert", "bare.pt", "--to", "keras", "-o", "model.keras", "--cell", "slstm") == 2
    assert "slstm" in capsys.readouterr().err


def test_gates_come_into_the_order_of_torch(folder):
    layer = gatewise.Recurrent(user_cells.lstm_forget_first, 3, 4, 2, bidirectional=True, backend="reference")
    torch.save(dict(layer.state_dict().items()), "mine.pt")
    assert leave("convert", "mine.pt", "--to", "torch", "-o", "out.pt", "--cell", OWN) == 0
    of_torch = nn.LSTM(3, 4, 2, bidirectional=True)
    of_torch.load_state_dict(torch.load("out.pt", weights_only=True))
    torch.testing.assert_close(of_torch(X)[0], layer(X)[0])
    assert leave("convert", "mine.pt", "--to", "torch", "-o", "two.pt", "--cell", "lstm", "--gates", "f,i,g,o") == 0
    assert all(torch.equal(weight, torch.load("two.pt")[name]) for name, weight in torch.load("out.pt").items())


def test_layers_of_several_cells_and_tied_weights(folder):
    model = nn.ModuleDict({"a": nn.GRU(3, 4), "b": nn.LSTMCell(3, 4), "c": nn.GRU(3, 4)})
    model["c"].weight_hh_l0 = model["a"].weight_hh_l0
    torch.save(model.state_dict(), "model.pt")
    cells = ("--cell", "gru_cudnn", "b=lstm")
    assert leave("convert", "model.pt", "--to", "safetensors", "-o", "model.safetensors", *cells) == 0
    assert leave("convert", "model.safetensors", "--to", "torch", "-o", "back.pt") == 0
    state = torch.load("back.pt", weights_only=True)
    assert {path: one["cell"] for path, one in identities_of(state).items()} == {
        "a": "gru_cudnn",
        "b": "lstm",
        "c": "gru_cudnn",
    }
    assert all(torch.equal(state[name], weight) for name, weight in model.state_dict().items())


def test_a_layer_that_is_named_is_not_one_of_the_others(folder):
    torch.save(nn.ModuleDict({"a": nn.RNN(3, 4), "b": nn.RNN(3, 4), "c": nn.RNN(3, 4)}).state_dict(), "a.pt")
    assert leave("convert", "a.pt", "--to", "torch", "-o", "b.pt", "--cell", "rnn_tanh", "b=rnn_relu") == 0
    found = {path: one["cell"] for path, one in identities_of(torch.load("b.pt", weights_only=True)).items()}
    assert found == {"a": "rnn_tanh", "b": "rnn_relu", "c": "rnn_tanh"}


MISTAKES = {
    "bare.pt --to safetensors -o x": "bare.pt: the cell of the layer is not recorded in the file",
    "bare.pt --to keras5 -o x": "--to: expected one of torch, safetensors, keras, onnx, got 'keras5'",
    "bare.pt --to torch -o x --cell gru": "unknown cell 'gru'",
    "bare.pt --to torch -o x --cell lstm": "no weights of the cell lstm without an identity",
    "bare.pt --to torch -o x --cell gru_cudnn --gates r,z": "gates: expected the gates of the cell gru_cudnn",
    "bare.pt --to torch -o x --gates r,z,n": "--gates has no effect",
    "bare.pt --to torch -o none/x --cell gru_cudnn": "none/x: its folder does not exist",
    "two.pt --to torch -o x --cell lstm": "two.pt: several state dicts; choose one with --key: 'model', 'ema'",
    "two.pt --to torch -o x --cell lstm --key no": "--key: two.pt has no state dict 'no'; it has 'model', 'ema'",
    "module.pt --to torch -o x --cell lstm": "module.pt: holds objects other than tensors and plain values",
    "linear.pt --to torch -o x": "linear.pt: no recurrent weights in it",
    "numbers.pt --to torch -o x": "numbers.pt: no state dict in it",
    "text.txt --to torch -o x": "text.txt: not a file of weights of a known format (torch, safetensors, keras, onnx)",
    "short.pt --to torch -o x": "short.pt: not a",
    "short.safetensors --to torch -o x": "short.safetensors: not a safetensors file, or a corrupt one",
    "missing.pt --to torch -o x": "missing.pt: No such file or directory",
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    torch.save(dict(nn.GRU(3, 4).state_dict().items()), folder / "bare.pt")
    torch.save({"model": nn.LSTM(3, 4).state_dict(), "ema": nn.LSTM(3, 4).state_dict()}, folder / "two.pt")
    torch.save(nn.LSTM(3, 4), folder / "module.pt")
    torch.save(nn.Linear(3, 4).state_dict(), folder / "linear.pt")
    torch.save([1, 2], folder / "numbers.pt")
    (folder / "text.txt").write_text("hello")
    (folder / "short.pt").write_bytes((folder / "bare.pt").read_bytes()[:300])
    (folder / "short.safetensors").write_bytes(b"\5\0\0\0\0\0\0\0{abcdefgh")
    return folder


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(mistakes, monkeypatch, capsys, words):
    monkeypatch.chdir(mistakes)
    check_mistake(mistakes, capsys, f"convert {words}", MISTAKES[words])
