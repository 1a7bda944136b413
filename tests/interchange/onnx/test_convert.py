"""``gatewise convert`` of ONNX models."""

from pathlib import Path

import onnx
import pytest
import torch

import gatewise
from gatewise.interchange.formats import FORMATS
from gatewise.interchange.identity import identities_of
from gatewise.interchange.recorded_layers import recorded_layers
from tests.cli.command_line import check_mistake, leave
from tests.interchange.onnx.configurations import Configuration

TWO = Configuration("GRU", "bidirectional", activations=("Sigmoid", "Elu", "Sigmoid", "Tanh"))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("suffix", ["onnx", "bin"])
def test_one_node(suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is recognised by its content; the weights load into the layer that `from_onnx` makes."""
    onnx.save(Configuration("LSTM").model(), f"model.{suffix}")
    words = ["convert", f"model.{suffix}", "--to", "safetensors", "-o", "a.safetensors"]
    assert leave(*words, "--key", "recurrent") == 0
    assert capsys.readouterr().out == "(one layer): lstm, gates i f g o\nwritten: a.safetensors\n"
    assert leave("convert", "a.safetensors", "--to", "torch", "-o", "a.pt") == 0
    theirs, (layer, _) = torch.nn.LSTM(3, 4), gatewise.from_onnx(f"model.{suffix}")["recurrent"]
    theirs.load_state_dict(torch.load("a.pt", weights_only=True))
    for name, weight in theirs.state_dict().items():
        assert torch.equal(weight, layer.state_dict()[name])


def test_two_cells_in_one_node() -> None:
    onnx.save(TWO.model(), "model.onnx")
    assert leave("convert", "model.onnx", "--to", "torch", "-o", "a.pt") == 0
    state = torch.load("a.pt", weights_only=True)
    found = {path: identity["cell"] for path, identity in identities_of(state).items()}
    assert found == {"recurrent.forward_layer": "onnx_gru_sigmoid_elu", "recurrent.reverse_layer": "gru_cho2014"}
    layer = gatewise.from_onnx("model.onnx")["recurrent"].layer
    torch.nn.ModuleDict({"recurrent": layer}).load_state_dict(state)


LAYERS = {
    "lstm": gatewise.LSTM(3, 4, 2, bidirectional=True),
    "gru": gatewise.GRU(3, 4),
    "chung2014": gatewise.GRU(3, 4, variant="chung2014", bidirectional=True),
    "rnn": gatewise.RNN(3, 4, nonlinearity="relu"),
}


def test_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint through all formats: after each, layers run one after another have the outputs of the first ones."""
    torch.save(torch.nn.ModuleDict({**LAYERS, "head": torch.nn.Linear(4, 2)}).state_dict(), "first")
    x, source = torch.randn(5, 2, 3), "first"
    for number, to in enumerate(("onnx", "keras", "safetensors", "torch")):
        assert leave("convert", source, "--to", to, "-o", f"next.{number}") == 0
        source = f"next.{number}"
        omitted = f"not of a recurrent layer, so not in a file of {to}: head.weight, head.bias\n"
        assert (omitted in capsys.readouterr().out) == (number == 0)
        outputs: dict[str, torch.Tensor] = {}
        for name, layer in recorded_layers(FORMATS[to].read(Path(source), None))[0].items():
            own = name.replace(".", "_").partition("_l")[0]
            outputs[own], _ = layer(outputs.get(own, x))
        assert list(outputs) == list(LAYERS)
        for name, output in outputs.items():
            torch.testing.assert_close(output, LAYERS[name](x)[0], msg=f"{name} as {to}")
    graph = onnx.load("next.0").graph
    assert [one.name for one in graph.input] == [f"{name}.input" for name in LAYERS]
    assert [one.name for one in graph.output][:4] == ["lstm.output", "lstm.final_h", "lstm.final_c", "gru.output"]


def test_what_keras_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(torch.nn.ModuleDict({"rnn": gatewise.PeepholeLSTM(3, 4)}).state_dict(), "a.pt")
    expected = "a.pt: layer rnn: to_keras: Keras does not have its cell, peephole_lstm"
    check_mistake(tmp_path, capsys, "convert a.pt --to keras -o a.keras", expected)


def test_a_bare_state_dict_needs_its_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = torch.nn.GRU(3, 4)
    torch.save(dict(theirs.state_dict()), "bare.pt")
    for to in ("onnx", "keras"):
        check_mistake(tmp_path, capsys, f"convert bare.pt --to {to} -o out", "the cell of the layer is not recorded")
    for to in ("onnx", "keras"):
        assert leave("convert", "bare.pt", "--to", to, "-o", "out", "--cell", "gru_cudnn") == 0
        assert leave("convert", "out", "--to", "torch", "-o", "back.pt", "--key", "recurrent") == 0
        assert all(torch.equal(weight, theirs.state_dict()[name]) for name, weight in torch.load("back.pt").items())


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(Configuration("LSTM").model(), "model.onnx")
    onnx.save(Configuration("GRU", initial=(True, True), constant=True).model(), "state.onnx")
    for words, message in {
        "model.onnx --to torch --key other": "--key: model.onnx has no recurrent node 'other'; it has 'recurrent'",
        "model.onnx --to pickle": "--to: expected one of torch, safetensors, keras, onnx, got 'pickle'",
        "state.onnx --to torch": "state.onnx: node 'recurrent' has constant initial states",
    }.items():
        check_mistake(tmp_path, capsys, f"convert {words} -o a.pt", message)
