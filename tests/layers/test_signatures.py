"""The signatures of the layers show every option with its type, and their docstrings the equations of their cells."""

import inspect
import re
from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.equations.mathematics import equations
from gatewise.layers import Recurrent

LAYERS: dict[str, type[Recurrent]] = {
    name: getattr(gatewise, name) for name in ("RNN", "LSTM", "GRU", "PeepholeLSTM", "BiRNN", "BiLSTM", "BiGRU")
}
CHOICES = {"nonlinearity", "variant", "peephole", "layer_norm"}


def parameters_of(layer: type) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(layer.__init__, eval_str=True).parameters)
    del parameters["self"]
    return parameters


@pytest.mark.parametrize("name", [*LAYERS, "Recurrent"])
def test_every_option_is_in_the_signature(name: str):
    parameters = parameters_of(getattr(gatewise, name))
    for parameter in parameters.values():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        assert parameter.annotation not in (inspect.Parameter.empty, Any)


@pytest.mark.parametrize("name", LAYERS)
def test_options_are_those_of_recurrent(name: str):
    """With its types and defaults; only initial weights are torch's, and no matrix is divided into heads."""
    parameters, general = parameters_of(LAYERS[name]), parameters_of(Recurrent)
    missing = general.keys() - parameters.keys()
    fixed = {"cell", "heads", *(("bidirectional", "reverse") if name.startswith("Bi") else ())}
    assert missing == fixed | ({"proj_size"} if name in ("BiRNN", "BiGRU") else set())
    assert parameters.keys() - general.keys() - CHOICES == set()
    for option in general.keys() & parameters.keys() - {"init"}:
        assert parameters[option].default == general[option].default
        assert parameters[option].annotation == general[option].annotation
    assert parameters["init"].default == ("default" if name == "PeepholeLSTM" else "torch")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "PeepholeLSTM"])
def test_positions_are_those_of_torch(name: str):
    theirs = [one for one in parameters_of(nn.RNNBase) if one != "mode"]
    ours = [one.name for one in parameters_of(LAYERS[name]).values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    if name == "RNN":
        assert ours.pop(3) == "nonlinearity"
    assert ours == theirs


@pytest.mark.parametrize("name", [*LAYERS, "Recurrent"])
def test_the_docstring_describes_every_option(name: str):
    documentation = inspect.getdoc(getattr(gatewise, name)) or ""
    described = set(
        re.findall(r"\w+", " ".join(re.findall(r"^    ([\w, ]+):", documentation.split("Args:")[1], re.MULTILINE)))
    )
    assert parameters_of(getattr(gatewise, name)).keys() <= described


@pytest.mark.parametrize("name", LAYERS)
def test_the_docstring_has_the_equations_of_the_cell(name: str):
    layer = LAYERS[name](3, 4)
    documentation = inspect.getdoc(LAYERS[name]) or ""
    lines = documentation.split(f"``gatewise explain {layer.cell.name}``::\n\n")[1].split("\n\n")[0].splitlines()
    assert lines == [f"    {left} = {right}" for left, right in equations(layer.cell)]


@pytest.mark.parametrize("name", LAYERS)
def test_every_option_arrives(name: str):
    options: dict[str, Any] = {
        "num_layers": 2,
        "bias": False,
        "batch_first": True,
        "dropout": 0.25,
        "merge": "sum",
        "masked_output": "repeat",
        "return_state": False,
        "init": gatewise.Init("he"),
        "backend": "reference",
        "checkpoint_every": 7,
    }
    choices = {"nonlinearity": "relu", "variant": "cho2014", "peephole": "full"}
    both = {} if name.startswith("Bi") else {"bidirectional": True}
    given = {**options, **both, **{key: value for key, value in choices.items() if key in parameters_of(LAYERS[name])}}
    assert LAYERS[name](3, 4, return_states=True, device="meta").return_states
    layer = LAYERS[name](3, 4, **given, dtype=torch.float64, device="meta")
    assert {key: getattr(layer, key) for key in given} == given
    assert layer.bidirectional
    assert {(one.dtype, one.device.type) for one in layer.parameters()} == {(torch.float64, "meta")}
    assert (layer.input_size, layer.hidden_size) == (3, 4)


@pytest.mark.parametrize(
    ("name", "option"), [("RNN", "nonlinearity"), ("BiRNN", "nonlinearity"), ("GRU", "variant"), ("BiGRU", "variant")]
)
def test_an_unknown_choice(name: str, option: str):
    with pytest.raises(ValueError, match=f"{option}: expected one of .*, got 'x'"):
        LAYERS[name](3, 4, **{option: "x"})
