"""`bias="single"`: one bias for each sum, as in Keras and Flax."""

from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.cells import names
from gatewise.interchange import declare
from tests.agreement import ALL_CELLS, projection_of
from tests.layers.oracle import call, check_steps

LENGTHS = torch.tensor([5, 0, 3])
RESET = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)) < 0.3


@pytest.mark.parametrize("backend", ["cpu", "reference", "torch"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", names())
def test_equals_two_biases_of_which_one_is_zero(cell: str, bidirectional: bool, backend: Any):
    torch.manual_seed(0)
    options: dict[str, Any] = {"bidirectional": bidirectional, "init": "torch", "dtype": torch.float64}
    options["proj_size"] = projection_of(ALL_CELLS[cell], 4)
    single = gatewise.Recurrent(ALL_CELLS[cell], 3, 4, 2, "single", **options)
    whole = gatewise.Recurrent(ALL_CELLS[cell], 3, 4, 2, **options)
    complete = {
        name: torch.zeros_like(value) if "bias_hh" in name else single.state_dict()[name]
        for name, value in whole.state_dict().items()
    }
    for name, value in single.state_dict().items():
        if "bias_hh" in name:  # the last gate of gru_cudnn
            complete[name][-len(value) :] = value
    whole.load_state_dict(declare(complete, whole.cell))
    single.backend = whole.backend = backend
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    options = {} if backend == "torch" else {"lengths": LENGTHS, "reset": RESET}
    try:
        whole.backend_for(x, **options)
    except ValueError:
        assert backend != "reference"
        return
    assert single.backend_for(x, **options).name == backend
    actual, expected = call(single, x, **options), call(whole, x, **options)
    for name, value in actual.items():
        wanted = expected[name]
        if "bias_hh" in name:
            wanted = wanted[-len(value) :]
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-13)


def test_shapes_and_text():
    layer = gatewise.LSTM(3, 4, bias="single")
    assert {name: tuple(one.shape) for name, one in layer.named_parameters()} == {
        "weight_ih_l0": (16, 3),
        "weight_hh_l0": (16, 4),
        "bias_ih_l0": (16,),
    }
    assert repr(layer) == "LSTM(lstm, 3, 4, bias='single', init='torch')"
    assert tuple(gatewise.GRU(3, 4, bias="single").bias_hh_l0.shape) == (4,)
    for variant in ("chung2014", "cho2014"):
        one, other = (gatewise.GRU(3, 4, bias=bias, variant=variant) for bias in (True, "single"))
        assert one.cell == other.cell


@torch.no_grad()
def test_init_steps_and_frozen():
    layer = gatewise.LSTM(3, 4, bias="single", init=gatewise.Init(forget_bias=2.0))
    assert (layer.bias_ih_l0[4:8] == 2).all()
    x = torch.randn(5, 2, 3)
    with layer.frozen():
        stream = layer.stream(x)
        check_steps(layer, list(stream), stream.state, x)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_two_biases_of_torch_add_up(bidirectional: bool):
    theirs = nn.LSTM(3, 4, bidirectional=bidirectional)
    ours = gatewise.LSTM(3, 4, bias="single", bidirectional=bidirectional)
    with pytest.raises(RuntimeError, match=r"torch\.nn does not have the layer's, lstm"):
        ours.load_state_dict(theirs.state_dict())
    merged = dict(theirs.state_dict())
    for suffix in ("", "_reverse")[: 1 + bidirectional]:
        merged[f"bias_ih_l0{suffix}"] = merged[f"bias_ih_l0{suffix}"] + merged.pop(f"bias_hh_l0{suffix}")
    ours.load_state_dict(declare(merged, "lstm"))
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-5, atol=1e-6)
    again = gatewise.LSTM(3, 4, bias="single", bidirectional=bidirectional)
    again.load_state_dict(ours.state_dict())
    with pytest.raises(RuntimeError, match="another function"):
        gatewise.LSTM(3, 4, bidirectional=bidirectional).load_state_dict(ours.state_dict())
