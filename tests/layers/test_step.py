"""A stream run step by step is the sequence run at once."""

import torch

import gatewise
from tests.agreement import CELLS, possible
from tests.combinations import combinations
from tests.layers.oracle import check_steps


@combinations(
    {
        "cell": CELLS,
        "with_reset": [False, True],
        "batched": [True, False],
        "dtype": [torch.float32, torch.float64],
    }
)
def test_steps_are_the_sequence(cell: str, with_reset: bool, batched: bool, dtype: torch.dtype):
    torch.manual_seed(0)
    # batch_first has no say in a step.
    layer = gatewise.Recurrent(CELLS[cell], 3, 8, num_layers=2, batch_first=True, init="torch", dtype=dtype)
    x = torch.randn((6, 3, 3) if batched else (6, 3), dtype=dtype)
    reset = torch.rand(x.shape[:-1]) < 0.3
    reset[2] = True
    rows = (2, 3, 8) if batched else (2, 8)
    hx = possible(layer.cell, [torch.randn(rows, dtype=dtype) for _ in layer.cell.states])
    flags = reset if with_reset else None
    state, outputs = hx if len(hx) > 1 else hx[0], []
    for t, x_t in enumerate(x):
        y_t, state = layer.step(x_t, state, reset=None if flags is None else flags[t])
        assert y_t.shape == (*x_t.shape[:-1], 8)
        outputs.append(y_t)
    check_steps(layer, outputs, state, x, hx, reset=flags)


def test_gradients_flow_from_step_to_step():
    layer = gatewise.LSTM(3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    state, outputs = None, []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    wanted = (x, *layer.parameters())
    actual = torch.autograd.grad(torch.stack(outputs).square().sum(), wanted)
    expected = torch.autograd.grad(layer(x)[0].square().sum(), wanted)
    torch.testing.assert_close(actual, expected)


def test_the_state_starts_at_zero():
    layer = gatewise.GRU(3, 4)
    x_t = torch.randn(2, 3)
    torch.testing.assert_close(layer.step(x_t), layer.step(x_t, torch.zeros(1, 2, 4)))
    shaken = layer.step(x_t, torch.randn(1, 2, 4), reset=torch.tensor([True, True]))
    torch.testing.assert_close(shaken, layer.step(x_t))
