"""What stands past the end of a row is not read: not by the output, not by any gradient, NaN and infinity neither."""

import math

import numpy
import pytest
import torch

from gatewise.equations import Cell, cell, exp, expm1, log, log1p, sqrt, tanh
from gatewise.kernels.dispatch import BACKENDS
from gatewise.layers import Recurrent
from tests.agreement import CELLS, Case, Way, operators_only, possible_ways
from tests.agreement import layer_of as made
from tests.combinations import combinations

LENGTHS = [5, 1, 3, 0]


def test_lengths_in_an_array_of_numpy():
    layer, x = Recurrent("lstm", 3, 4), torch.randn(5, 4, 3)
    assert torch.equal(layer(x, lengths=numpy.array(LENGTHS))[0], layer(x, lengths=LENGTHS)[0])


def run(layer: Recurrent, filling: float, path: Way, lengths: list[int], flags: bool) -> list[torch.Tensor]:
    """Output, state and gradients, with the padding of x (and of its resets) filled."""
    draw = torch.Generator().manual_seed(7)
    x = torch.randn(5, 4, 3, generator=draw, dtype=torch.float64)
    reset = torch.rand(5, 4, generator=draw) < 0.3
    for row, length in enumerate(lengths):
        x[length:, row] = filling
        reset[length:, row] = math.isnan(filling)
    x.requires_grad_()
    layer.zero_grad()
    layer.backend, layer.checkpoint_every = path.backend, path.checkpoint_every
    options = {"lengths": torch.tensor(lengths), "reset": reset if flags else None}
    if path.through_operators:
        with operators_only():
            output, state = layer(x, **options)
    else:
        output, state = layer(x, **options)
    states = state if isinstance(state, tuple) else (state,)
    (output.square().sum() + sum(part.square().sum() for part in states)).backward()
    assert x.grad is not None
    for row, length in enumerate(lengths):
        assert (output[length:, row] == 0).all()
        assert (x.grad[length:, row] == 0).all()
    return [output, *states, x.grad, *(parameter.grad.clone() for parameter in layer.parameters())]


@combinations(
    {
        "cell": CELLS,
        "backend": BACKENDS,
        "every": [None, 2],
        "through_operators": [False, True],
        "filling": [math.nan, math.inf, -math.inf],
    }
)
def test_padding_is_not_read(cell: str, backend: str, every: int | None, through_operators: bool, filling: float):
    path = Way(backend, every, through_operators)
    case = Case(cell, bidirectional=True, num_layers=2, merge="learned", lengths=(5, 1, 3, 2))
    if path not in possible_ways(case):
        assert path.backend != "reference"
        return
    layer = made(case)
    # torch's kernels take no row of length 0 and no resets.
    takes_all = path.backend != "torch"
    lengths = LENGTHS if takes_all else [5, 1, 3, 2]
    clean = run(layer, 0.0, path, lengths, flags=takes_all)
    filled = run(layer, filling, path, lengths, flags=takes_all)
    for actual, expected in zip(filled, clean, strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@cell
def by_its_size(x, h, /, W, R, b):
    a = W.a @ x
    return tanh(a / sqrt(a * a) + R.n @ h + b.n)


@cell
def logarithmic(x, h, /, W, R, b):
    a = W.a @ x
    return tanh(log(a * a) + log1p(a * a - 1) + R.n @ h + b.n)


@cell
def exploding(x, h, /, W, R, b):
    a = W.a @ x
    return tanh(exp(1 / (a * a) - 1e6) + expm1(1 / (a * a) - 1e6) + R.n @ h + b.n)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("own", [by_its_size, logarithmic, exploding], ids=lambda own: own.name)
def test_a_derivative_that_is_infinite_at_0_does_no_harm_past_the_end(own: Cell, bidirectional: bool):
    torch.manual_seed(0)
    layer = Recurrent(own, 3, 4, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    gradients = []
    for rows in ([(x, torch.tensor([5, 3]))], [(x[:, :1], None), (x[:3, 1:], None)]):
        loss = sum(layer(row, lengths=lengths)[0].sum() for row, lengths in rows)
        gradients.append(torch.autograd.grad(loss, list(layer.parameters())))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_of_length_0_keeps_its_initial_state_and_passes_its_gradient(cell: str):
    case = Case(cell, bidirectional=True, dtype=torch.float64)
    layer = made(case)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    initial = tuple(torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True) for _ in layer.cell.states)
    # Flags past the end are ignored.
    reset = torch.ones(5, 2, dtype=torch.bool)
    output, state = layer(x, initial if len(initial) > 1 else initial[0], lengths=torch.tensor([5, 0]), reset=reset)
    finals = state if isinstance(state, tuple) else (state,)
    assert (output[:, 1] == 0).all()
    for final, given in zip(finals, initial, strict=True):
        assert torch.equal(final[:, 1], given[:, 1])
        above = torch.randn(2, 2, 4, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(final, given, above, retain_graph=True, allow_unused=True)
        assert torch.equal(gradient[:, 1], above[:, 1])
