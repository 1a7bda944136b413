"""Stacks that are laid out: which cells can be, and what is held."""

import pytest
import torch

import gatewise
from gatewise.equations import Cell, cell, tanh
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import laid_out, library
from tests.agreement import CELLS
from tests.kernels.engine import needs_engine
from tests.layers.frozen import all_frozen  # noqa: F401 (a fixture)

pytestmark = [needs_engine, pytest.mark.usefixtures("all_frozen")]


@cell
def doubled(x, h, /, W, R, b):
    """What x contributes is a sum of two products."""
    return tanh(W.a @ x + W.b @ x + R @ h + b)


@cell
def twice(x, h, /, W, R, b):
    """What x contributes is a product of a product."""
    return tanh(R.a @ (W @ x) + R.b @ h + b)


def call_of(layer: gatewise.Recurrent, rows: int) -> Call:
    zeros = torch.zeros(1, rows, layer.hidden_size)
    x = torch.zeros(1, rows, layer.input_size)
    parameters = tuple(parameter.detach() for parameter in layer.parameters())
    return Call(layer.cell, x, (zeros,) * len(layer.cell.states), parameters, None, None, "forward")


@torch.no_grad()
def test_a_frame_is_taken_by_one_at_a_time():
    call = call_of(gatewise.LSTM(3, 5), 2)
    stack = laid_out.lay_out([[call]], laid_out.shared_by(call, 1)[0])
    first, second = stack.frame(5), stack.frame(8)
    assert stack.free == []
    assert first.capacity == second.capacity == 8
    assert first.given.buffer_info()[0] != second.given.buffer_info()[0]


@torch.no_grad()
def test_no_memory_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library.Engine, "play_function", lambda self, dtype: lambda address: 1)
    layer = gatewise.LSTM(3, 5)
    with pytest.raises(MemoryError, match="the engine could not allocate its scratch memory"):
        layer.step(torch.zeros(1, 3))
    with pytest.raises(MemoryError, match="the engine could not allocate its scratch memory"):
        layer(torch.zeros(4, 1, 3))


@torch.no_grad()
def test_what_is_held_of_a_step():
    """Values between layers, two at most; and products with x, when there are few rows."""
    layer = gatewise.GRU(3, 5, num_layers=4)
    for rows, width in ((1, 2 * 5 + 3 * 5), (8, 2 * 5)):
        zeros = torch.zeros(2, rows, 5)
        calls = [
            [Call(layer.cell, zeros[..., : 5 if at else 3], (zeros[:1],), tuple(weights), None, None, "forward")]
            for at, weights in enumerate(layer.all_weights)
        ]
        stack = laid_out.lay_out(calls, laid_out.shared_by(calls[0][0], 2)[0])
        assert stack.bytes_per_step == rows * width * 4


@torch.no_grad()
def test_what_is_held_of_a_step_of_ragged_rows_in_both_directions():
    """Products with x, and where the rows stand that the caller has."""
    layer, zeros = gatewise.GRU(3, 5, bidirectional=True), torch.zeros(2, 1, 5)
    calls = [
        Call(layer.cell, zeros[..., :3], (zeros[:1],), tuple(weights), None, None, directions)
        for weights, directions in zip(layer.all_weights, ("forward", "reverse"), strict=True)
    ]
    stack = laid_out.lay_out([calls], laid_out.shared_by(calls[0], 2, 2)[0], ragged=True)
    assert stack.bytes_per_step == 2 * (3 * 5 * 4 + 8)


@pytest.mark.parametrize("made", [doubled, twice, *CELLS.values()], ids=lambda made: made.name)
@torch.no_grad()
def test_every_cell_steps_and_all_but_the_strangest_are_laid_out(made: Cell):
    layer = gatewise.Recurrent(made, 3, 5, num_layers=2, init="torch")
    x = torch.randn(6, 2, 3)
    state, outputs = None, []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs), layer(x)[0])
    known = layer._short_ways.get(torch.Size((2, 3)))
    assert (known is None) == (made is doubled)
