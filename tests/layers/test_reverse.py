"""`reverse=True`: one direction, from the end."""

import warnings

import pytest
import torch

import gatewise
from gatewise.interchange import declare
from tests.agreement import CELLS, operators_only
from tests.layers.oracle import states_of

LENGTHS = torch.tensor([6, 0, 4])
RESET = torch.rand(6, 3, generator=torch.Generator().manual_seed(1)) < 0.3


@pytest.mark.parametrize("backend", ["cpu", "reference", "torch"])
@pytest.mark.parametrize("cell", CELLS)
def test_is_the_reverse_half_of_both_directions(cell: str, backend: str):
    torch.manual_seed(0)
    both = gatewise.Recurrent(CELLS[cell], 3, 4, bidirectional=True, init="torch", dtype=torch.float64)
    layer = gatewise.Recurrent(CELLS[cell], 3, 4, reverse=True, init="torch", dtype=torch.float64)
    # The half is loaded under plain names.
    half = {
        name.removesuffix("_reverse"): value for name, value in both.state_dict().items() if name.endswith("_reverse")
    }
    layer.load_state_dict(declare(half, both.cell))
    assert list(layer.state_dict()) == list(gatewise.Recurrent(CELLS[cell], 3, 4).state_dict())
    x = torch.randn(6, 3, 3, dtype=torch.float64)
    options = [{}, {"lengths": torch.tensor([6, 1, 4])}]
    if backend != "torch":
        options += [{"lengths": LENGTHS, "reset": RESET}]
    layer.backend = both.backend = backend
    for option in options:
        try:
            layer.backend_for(x, **option)
        except ValueError:
            assert backend != "reference"
            continue
        output, state = layer(x, **option)
        expected, final = both(x, **option)
        torch.testing.assert_close(output, expected[..., 4:], rtol=1e-13, atol=1e-14)
        for one, other in zip(states_of(state), states_of(final), strict=True):
            torch.testing.assert_close(one, other[1:], rtol=1e-13, atol=1e-14)
        (actual,) = torch.autograd.grad(output.square().sum(), layer.weight_hh_l0)
        (wanted,) = torch.autograd.grad(expected[..., 4:].square().sum(), both.weight_hh_l0_reverse)
        torch.testing.assert_close(actual, wanted, rtol=1e-12, atol=1e-13)


def test_the_other_direction_is_not_computed():
    layer = gatewise.LSTM(3, 4, reverse=True)
    assert sum(one.numel() for one in layer.parameters()) == sum(
        one.numel() for one in gatewise.LSTM(3, 4).parameters()
    )
    output, (h, _) = layer(torch.randn(5, 2, 3))
    assert torch.equal(h[0], output[0])  # the final state is that of the first step


def test_traces_and_operators():
    layer = gatewise.GRU(3, 4, 2, reverse=True)
    x = torch.randn(5, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated
        traced = torch.jit.trace(layer, (x,))
    other = torch.randn(7, 3, 3)
    torch.testing.assert_close(traced(other), layer(other), rtol=1e-5, atol=1e-6)
    with operators_only():
        torch.testing.assert_close(layer(x), layer(x))


def test_no_truncated_back_propagation():
    with pytest.raises(ValueError, match="got the reverse layer"):
        next(iter(gatewise.TBPTT(2, 2).windows(torch.randn(5, 2, 3)))).run(gatewise.LSTM(3, 4, reverse=True))


def test_watched():
    layer = gatewise.GRU(3, 4, reverse=True)
    with gatewise.watch(layer, gates=True) as trace:
        layer(torch.randn(6, 2, 3), lengths=torch.tensor([6, 3]))[0].square().sum().backward()
    assert trace.gradient_flow()["h"].shape == (6,)
    trace.diagnose()
