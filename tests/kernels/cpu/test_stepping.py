"""Laid out steps: which cells have them, and what is held."""

import pytest
import torch

import gatewise
from gatewise.equations import Cell, cell, tanh
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import library, stepping
from tests.agreement import CELLS
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


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
    stepper = stepping.stepper([call_of(gatewise.LSTM(3, 5), 2)])
    assert stepper is not None
    first, second = stepper.frame(), stepper.frame()
    assert stepper.free == []
    assert first.given.buffer_info()[0] != second.given.buffer_info()[0]


@torch.no_grad()
def test_no_memory_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library.Engine, "step_function", lambda self, dtype: lambda address: 1)
    layer = gatewise.LSTM(3, 5)
    layer.step(torch.zeros(1, 3))
    with pytest.raises(MemoryError, match="the engine could not allocate its scratch memory"):
        layer.step(torch.zeros(1, 3))


@pytest.mark.parametrize("made", [twice, *CELLS.values()], ids=lambda made: made.name)
@torch.no_grad()
def test_every_cell_steps_and_all_but_the_strangest_are_laid_out(made: Cell):
    layer = gatewise.Recurrent(made, 3, 5, num_layers=2, init="torch")
    x = torch.randn(6, 2, 3)
    state, outputs = None, []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs), layer(x)[0])
    known = layer._steps[torch.Size((2, 3))]
    assert (known is None) == (made is twice)
