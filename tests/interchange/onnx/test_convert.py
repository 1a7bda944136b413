"""``gatewise convert`` of ONNX models."""

from pathlib import Path

import onnx
import pytest
import torch

import gatewise
from gatewise.interchange.identity import identities_of
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


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(Configuration("LSTM").model(), "model.onnx")
    onnx.save(Configuration("GRU", initial=(True, True), constant=True).model(), "state.onnx")
    for words, message in {
        "model.onnx --to torch --key other": "--key: model.onnx has no recurrent node 'other'; it has 'recurrent'",
        "model.onnx --to onnx": "--to: expected one of torch, safetensors, got 'onnx'",
        "state.onnx --to torch": "state.onnx: node 'recurrent' has constant initial states",
    }.items():
        check_mistake(tmp_path, capsys, f"convert {words} -o a.pt", message)
