"""A layer on a CUDA device, where nothing in the caller's code is another than on the CPU."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise
from tests.agreement import CELLS

pytestmark = pytest.mark.cuda


def both(cell: str, **options: Any) -> tuple[gatewise.Recurrent, gatewise.Recurrent]:
    """The same layer here and there."""
    torch.manual_seed(0)
    here = gatewise.Recurrent(CELLS[cell], 3, 4, 2, bidirectional=True, merge="learned", dtype=torch.float64, **options)
    there = gatewise.Recurrent(
        CELLS[cell], 3, 4, 2, bidirectional=True, merge="learned", dtype=torch.float64, device="cuda", **options
    )
    there.load_state_dict(here.state_dict())
    return here, there


def results(layer: gatewise.Recurrent, x: Tensor, **arguments: Any) -> list[Tensor]:
    """Output, states and all gradients, on the CPU."""
    device = layer.weight_ih_l0.device
    x = x.to(device).requires_grad_()
    output, state = layer(x, **arguments)
    states = state if isinstance(state, tuple) else (state,)
    assert output.device == x.device
    values = [output, *states]
    gradients = torch.autograd.grad(sum(value.square().sum() for value in values), [x, *layer.parameters()])
    return [value.detach().cpu() for value in (*values, *gradients)]


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 2}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_calls_there(cell: str, options: dict[str, Any]):
    here, there = both(cell, **options)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    reset = torch.rand(5, 3) < 0.2
    for arguments in ({}, {"lengths": [5, 2, 1]}, {"lengths": torch.tensor([5, 0, 3]), "reset": reset}):
        expected = results(here, x.clone(), **arguments)
        torch.testing.assert_close(results(there, x.clone(), **arguments), expected)
    moved = here.to("cuda")
    torch.testing.assert_close(results(moved, x.clone()), results(there, x.clone()))


def test_which_backend_runs_there_and_why():
    x = torch.randn(5, 3, 3, device="cuda")
    choice = gatewise.LSTM(3, 4, device="cuda").backend_for(x)
    assert (choice.name, choice.reason) == ("torch", "not cpu: the fused CPU kernels do not run on cuda")
    assert gatewise.PeepholeLSTM(3, 4, device="cuda").backend_for(x).name == "reference"
    with pytest.raises(ValueError, match=r"backend 'cpu' was asked for by name.*do not run on cuda"):
        gatewise.LSTM(3, 4, device="cuda", backend="cpu")(x)


def test_packed_stepped_and_compiled_there():
    torch._dynamo.reset()
    layer = gatewise.LSTM(3, 4, device="cuda", dtype=torch.float64)
    x = torch.randn(5, 3, 3, device="cuda", dtype=torch.float64)
    expected = layer(x)[0]
    packed, _ = layer(pack_padded_sequence(x, torch.tensor([5, 5, 5])))
    torch.testing.assert_close(packed.data.view(5, 3, 4), expected)
    state, outputs = None, []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs), expected)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for function in (layer, compiled):
        layer.zero_grad()
        function(x)[0].sum().backward()
        if function is layer:
            gradients = [parameter.grad.clone() for parameter in layer.parameters()]
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
