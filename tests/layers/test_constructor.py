"""The arguments of a layer: errors, attributes, repr."""

import re
from typing import Any

import numpy
import pytest
import torch

import gatewise
from gatewise.cells import lookup, names
from gatewise.equations import cell, tanh

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown cell": (
        {"cell": "lstn"},
        ValueError,
        f"unknown cell 'lstn'; did you mean lstm? The cells are: {', '.join(names())}",
    ),
    "no cell": ({"cell": 3}, TypeError, "cell: expected a Cell (made by @gatewise.cell) or a name, got int"),
    "input_size 0": ({"input_size": 0}, ValueError, "input_size: expected at least 1, got 0"),
    "hidden_size below 0": ({"hidden_size": -1}, ValueError, "hidden_size: expected at least 1, got -1"),
    "no layers": ({"num_layers": 0}, ValueError, "num_layers: expected at least 1, got 0"),
    "checkpoint_every 0": ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected at least 1, got 0"),
    "size of the wrong kind": ({"hidden_size": 4.0}, TypeError, "hidden_size: expected an int, got float (4.0)"),
    "size is a bool": ({"num_layers": True}, TypeError, "num_layers: expected an int, got bool (True)"),
    "bias": ({"bias": 1}, TypeError, "bias: expected True, False or 'single', got 1"),
    "batch_first": ({"batch_first": None}, TypeError, "batch_first: expected True or False, got None"),
    "bidirectional": ({"bidirectional": "yes"}, TypeError, "bidirectional: expected True or False, got 'yes'"),
    "dropout above 1": ({"dropout": 1.5}, ValueError, "dropout: expected a probability between 0 and 1, got 1.5"),
    "dropout below 0": ({"dropout": -0.1}, ValueError, "dropout: expected a probability between 0 and 1, got -0.1"),
    "dropout is NaN": (
        {"dropout": float("nan")},
        ValueError,
        "dropout: expected a probability between 0 and 1, got nan",
    ),
    "dropout is a bool": ({"dropout": True}, ValueError, "dropout: expected a probability between 0 and 1, got True"),
    "dropout of the wrong kind": (
        {"dropout": "0.1"},
        ValueError,
        "dropout: expected a probability between 0 and 1, got '0.1'",
    ),
    "unknown merge": (
        {"merge": "max", "bidirectional": True},
        ValueError,
        "merge: expected one of 'concat', 'sum', 'mean', 'mul', 'learned', None, got 'max'",
    ),
    "Keras' merge": (
        {"merge": "ave", "bidirectional": True},
        ValueError,
        "merge: expected one of 'concat', 'sum', 'mean', 'mul', 'learned', None, got 'ave'; did you mean 'mean'?",
    ),
    "reverse": ({"reverse": 1}, TypeError, "reverse: expected True or False, got 1"),
    "reverse of both directions": (
        {"reverse": True, "bidirectional": True},
        ValueError,
        "reverse: bidirectional=True reads both directions; pass one of the two",
    ),
    "masked_output": (
        {"masked_output": "zeros"},
        ValueError,
        "masked_output: expected 'zero' or 'repeat', got 'zeros'; did you mean 'zero'?",
    ),
    "dtype as text": (
        {"dtype": "float64"},
        TypeError,
        "dtype: expected a torch.dtype, got 'float64'; pass torch.float64",
    ),
    "dtype of numpy": (
        {"dtype": numpy.float32},
        TypeError,
        "dtype: expected a torch.dtype, got <class 'numpy.float32'>; pass torch.float32",
    ),
    "unknown dtype": ({"dtype": "f8"}, TypeError, "dtype: expected a torch.dtype, got 'f8', such as torch.float32"),
    "dtype of integers": (
        {"dtype": torch.int64},
        ValueError,
        "dtype: expected a floating-point dtype, got torch.int64",
    ),
    "merge of one direction": (
        {"merge": "sum"},
        ValueError,
        "merge: 'sum' combines two directions; pass bidirectional=True too, or omit merge",
    ),
    "no merge of one direction": (
        {"merge": None},
        ValueError,
        "merge: None combines two directions; pass bidirectional=True too, or omit merge",
    ),
    "unknown init": (
        {"init": "kaiming"},
        ValueError,
        "init: expected one of torch, default, xavier, he, orthogonal, identity, got 'kaiming'",
    ),
    "unknown backend": (
        {"backend": "cuda"},
        ValueError,
        "backend: expected one of auto, cpu, torch, reference, got 'cuda'",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_invalid_arguments_raise(wrong: str):
    options, exception, message = REFUSED[wrong]
    with pytest.raises(exception) as caught:
        gatewise.Recurrent(**{"cell": "lstm", "input_size": 3, "hidden_size": 4, **options})
    assert type(caught.value) is exception
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (gatewise.RNN, {"nonlinearity": "elu"}, "nonlinearity: expected one of tanh, relu, sigmoid, leaky_relu, got"),
        (gatewise.BiRNN, {"nonlinearity": "elu"}, "nonlinearity: expected one of tanh, relu, sigmoid, leaky_relu, got"),
        (gatewise.GRU, {"variant": "torch"}, "variant: expected one of cudnn, chung2014, cho2014, got 'torch'"),
        (gatewise.PeepholeLSTM, {"peephole": "row"}, "peephole: expected one of diagonal, full, got 'row'"),
        (gatewise.LSTM, {"init": "no"}, "init: expected one of torch, default"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_named_layers_raise(layer: type, options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(3, 4, **options)


@pytest.mark.parametrize("make", [gatewise.LSTM, gatewise.GRU, gatewise.RNN, gatewise.PeepholeLSTM])
def test_dropout_with_one_layer_warns(make: type):
    with pytest.warns(UserWarning, match=r"dropout: 0\.5 acts between layers and there is only one.*num_layers of 2"):
        make(3, 4, dropout=0.5)


@pytest.mark.parametrize("make", [gatewise.LSTM, gatewise.BiGRU, lambda *a, **k: gatewise.Recurrent("lstm", *a, **k)])
def test_the_warning_names_the_line_of_the_caller(make: Any):
    with pytest.warns(UserWarning, match="dropout") as caught:
        make(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(device: str):
    with pytest.raises(ValueError, match=f"^device: '{device}' is not available here: "):
        gatewise.LSTM(3, 4, device=device)


def test_what_is_given_is_kept_and_what_differs_is_printed():
    layer = gatewise.Recurrent(
        "gru_cho2014",
        3,
        4,
        2,
        False,
        True,
        0.5,
        True,
        merge="mul",
        init="he",
        backend="reference",
        checkpoint_every=7,
    )
    assert layer.cell.name == "gru_cho2014"
    assert repr(layer) == (
        "Recurrent(gru_cho2014, 3, 4, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True, "
        "merge='mul', init='he', backend='reference', checkpoint_every=7)"
    )
    assert repr(gatewise.Recurrent("lstm", 3, 4)) == "Recurrent(lstm, 3, 4)"


def test_dtype_and_device_of_the_parameters():
    layer = gatewise.Recurrent(
        "peephole_lstm", 3, 4, bidirectional=True, merge="learned", dtype=torch.float64, device="meta"
    )
    assert {(tensor.dtype, tensor.device.type) for tensor in layer.parameters()} == {(torch.float64, "meta")}


def test_names_and_shapes_of_parameters():
    layer = gatewise.Recurrent("peephole_lstm", 3, 4, 2, bidirectional=True, merge="learned")
    shapes = {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
    of_layer = {
        f"{name}_l{index}{suffix}": shape
        for index, width in ((0, 3), (1, 4))
        for suffix in ("", "_reverse")
        for name, shape in {"weight_ih": (16, width), "weight_hh": (16, 4), "p": (12,), "bias_ih": (16,)}.items()
    }
    of_merge = {
        f"merge_{name}_l{index}": shape for index in (0, 1) for name, shape in {"weight": (4, 8), "bias": (4,)}.items()
    }
    assert shapes == of_layer | of_merge
    assert tuple(gatewise.Recurrent("peephole_lstm_full", 3, 4).P_l0.shape) == (12, 4)


def test_bias_false_drops_the_biases_everywhere():
    for name in names():
        layer = gatewise.Recurrent(name, 3, 4, bias=False, proj_size=2 if lookup(name).projected else 0)
        stems = {parameter.removesuffix("_l0") for parameter, _ in layer.named_parameters()}
        others = {"weight_hr" if group == "V" else group for group in lookup(name).groups}
        others -= {"W", "R", "b", "d"}  # leaving projections, peepholes, gains and shifts
        assert stems == {"weight_ih", "weight_hh"} | others
        assert layer.cell.name == lookup(name).name
    merged = gatewise.Recurrent("lstm", 3, 4, bias=False, bidirectional=True, merge="learned")
    assert merged.merge_bias_l0 is None


def test_a_users_groups_have_their_own_names():
    @cell
    def own(x, h, /, U, V, scale, d):
        return tanh(U.a @ x + scale.a * (V.a @ h)) + d.n

    layer = gatewise.Recurrent(own, 3, 4, 2)
    assert list(layer.state_dict()) == [
        *("U_l0", "V_l0", "scale_l0", "bias_hh_l0"),
        *("U_l1", "V_l1", "scale_l1", "bias_hh_l1"),
    ]
    assert tuple(layer.bias_hh_l0.shape) == (4,)
