"""Every form of a call, at every moment in the life of a layer, against the reference."""

from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise
from tests.agreement import ALL_CELLS, CELLS, possible, projection_of
from tests.combinations import combinations
from tests.kernels.engine import needs_engine
from tests.layers.oracle import call, check_call, states_of
from tests.layers.test_weights_seen import averaged_through_data

T, B, I, H = 7, 3, 5, 9  # noqa: E741
LENGTHS = torch.tensor([4, 0, 7])
RESET = torch.tensor([[False, True, False], [True, False, False]] + [[False] * 3] * 5)

# Options of the layer, and arguments of its call.
SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a sequence": ({}, {}),
    "lengths": ({}, {"lengths": LENGTHS}),
    "a list of lengths": ({}, {"lengths": [4, 0, 7]}),
    "resets": ({}, {"reset": RESET}),
    "lengths and resets": ({}, {"lengths": LENGTHS, "reset": RESET}),
    "both directions": ({"bidirectional": True}, {}),
    "both directions with lengths and resets": ({"bidirectional": True}, {"lengths": LENGTHS, "reset": RESET}),
    "both directions, summed": ({"bidirectional": True, "merge": "sum"}, {"lengths": LENGTHS}),
    "reverse": ({"reverse": True}, {}),
    "a stack in reverse with lengths and resets": (
        {"num_layers": 2, "reverse": True},
        {"lengths": LENGTHS, "reset": RESET},
    ),
    "a stack": ({"num_layers": 3}, {}),
    "a stack of both directions with lengths": ({"num_layers": 2, "bidirectional": True}, {"lengths": LENGTHS}),
    "batch first": ({"batch_first": True}, {"lengths": LENGTHS, "reset": RESET.t().contiguous()}),
}


def made(cell: str, **options: Any) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return gatewise.Recurrent(
        ALL_CELLS[cell], I, H, init="torch", proj_size=projection_of(ALL_CELLS[cell], H), **options
    )


def input_of(layer: gatewise.Recurrent, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn((B, T, I) if layer.batch_first else (T, B, I), dtype=dtype)


def initial(layer: gatewise.Recurrent, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    rows = layer.num_layers * (1 + layer.bidirectional)
    return [*possible(layer.cell, [torch.randn(rows, B, width, dtype=dtype) for width in layer._state_sizes])]


@needs_engine
@combinations(
    {
        "cell": ["lstm", "gru_chung2014", "peephole_lstm"],
        "signature": SIGNATURES,
        "gradients": [False, True],
        "watched": [False, True],
    }
)
def test_first_repeated_and_with_changed_weights(cell: str, signature: str, gradients: bool, watched: bool):
    of_layer, of_call = SIGNATURES[signature]
    layer = made(cell, **of_layer)
    x = input_of(layer)
    for hx in ([], initial(layer)):
        with torch.set_grad_enabled(gradients):
            first = check_call(layer, x, hx, **of_call)
            if watched:
                with gatewise.watch(layer):
                    again = call(layer, x, hx, **of_call)
            else:
                again = call(layer, x, hx, **of_call)
            assert first.keys() == again.keys()
            assert all(torch.equal(again[name], value) for name, value in first.items())
        averaged_through_data(layer)
        with torch.set_grad_enabled(gradients):
            changed = check_call(layer, x, hx, **of_call)
        assert not torch.equal(changed["output"], first["output"])


@needs_engine
@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("cell", ALL_CELLS)
def test_every_cell_in_float64(cell: str, signature: str):
    of_layer, of_call = SIGNATURES[signature]
    layer = made(cell, dtype=torch.float64, **of_layer)
    check_call(layer, input_of(layer, torch.float64), initial(layer, torch.float64), **of_call)


@needs_engine
@pytest.mark.parametrize("signature", SIGNATURES)
@torch.no_grad()
def test_packed_weights_give_the_same_bits(signature: str):
    of_layer, of_call = SIGNATURES[signature]
    layer = made("lstm", **of_layer)
    x = input_of(layer)
    expected = call(layer, x, **of_call)
    with layer.frozen():
        for _ in range(3):
            actual = call(layer, x, **of_call)
            assert all(torch.equal(actual[name], value) for name, value in expected.items())


@needs_engine
@pytest.mark.parametrize("rows", [1, 2, 3, 8])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_steps_and_streams_are_the_sequence(cell: str, layers: int, rows: int):
    layer = made(cell, num_layers=layers, dtype=torch.float64)
    x = torch.randn(T, rows, I, dtype=torch.float64)
    reset = torch.rand(T, rows) < 0.2
    output, final = layer(x, reset=reset)
    state, steps = None, []
    for x_t, flags in zip(x, reset, strict=True):
        y_t, state = layer.step(x_t, state, reset=flags)
        steps.append(y_t)
    stream = layer.stream(x, reset=reset)
    for outputs, after in ((steps, state), (list(stream), stream.state)):
        torch.testing.assert_close(torch.stack(outputs), output, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(states_of(after), states_of(final), rtol=1e-13, atol=1e-14)
