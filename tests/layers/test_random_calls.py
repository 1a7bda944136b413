"""Random calls of random layers, one after the other, each against the reference: whatever came before.

Shapes, threads, training and inference, lengths, resets, states, both directions, stacks, frozen layers, memory below
4 GiB and writes to the weights take turns, so that nothing that is kept from one call may spoil another.
"""

import random

import pytest
import torch

import gatewise
from tests.kernels.engine import needs_engine
from tests.layers.oracle import call, check_call, expected
from tests.layers.test_low_addresses import BELOW_4_GIB, low
from tests.layers.test_weights_seen import averaged_through_data, copied, copied_through_data

CELLS = ("rnn_tanh", "lstm", "gru_cudnn", "gru_chung2014", "peephole_lstm", "rnn_relu")
WRITES = (copied, copied_through_data, averaged_through_data)
CALLS = 40


def layer_of(draw: random.Random) -> gatewise.Recurrent:
    bidirectional = draw.random() < 0.4
    return gatewise.Recurrent(
        draw.choice(CELLS),
        draw.randint(1, 6),
        draw.choice((1, 4, 9, 33)),
        draw.choice((1, 1, 2)),
        bidirectional=bidirectional,
        merge=draw.choice(("concat", "sum")) if bidirectional else "concat",
        batch_first=draw.random() < 0.3,
        dtype=draw.choice((torch.float32, torch.float32, torch.float64)),
    )


def one_call(draw: random.Random, layer: gatewise.Recurrent) -> None:
    """Check a call, and that its like gives the same bits."""
    steps, batch = draw.choice((1, 1, 2, 5, 12)), draw.choice((1, 1, 3, 6))
    dtype = next(layer.parameters()).dtype
    shape = (batch, steps, layer.input_size) if layer.batch_first else (steps, batch, layer.input_size)
    x = torch.randn(shape, dtype=dtype)
    if draw.random() < 0.3 and BELOW_4_GIB:
        x = low(x)
    rows = layer.num_layers * (1 + layer.bidirectional)
    hx = [torch.randn(rows, batch, layer.hidden_size, dtype=dtype) for _ in layer.cell.states]
    options: dict[str, object] = {}
    if draw.random() < 0.4:
        lengths = [draw.randint(0, steps) for _ in range(batch)]
        options["lengths"] = lengths if draw.random() < 0.3 else torch.tensor(lengths)
    if draw.random() < 0.3:
        options["reset"] = torch.rand(shape[:2]) < 0.3
    hx = hx if draw.random() < 0.5 else []
    with torch.set_grad_enabled(draw.random() < 0.6):
        if dtype == torch.float64:
            came = check_call(layer, x, hx, **options)
        else:  # where much cancels, roundings of single precision say little
            came = call(layer, x, hx, **options)
            for name, value in expected(layer, torch.float64, x, hx, **options).items():
                assert (came[name] - value).abs().max() <= 1e-4 * (1 + value.abs().max()), name
        again = call(layer, x, hx, **options)
    assert all(torch.equal(again[name], value) for name, value in came.items())


@needs_engine
@pytest.mark.parametrize("seed", range(6))
def test_calls_in_any_order(seed: int):
    draw, before = random.Random(seed), torch.get_num_threads()
    torch.manual_seed(seed)
    layers = [layer_of(draw) for _ in range(4)]
    try:
        for _ in range(CALLS):
            torch.set_num_threads(draw.choice((1, 2)))
            layer = draw.choice(layers)
            if draw.random() < 0.3:
                with torch.no_grad():
                    draw.choice(WRITES)(layer)
                if draw.random() < 0.3:
                    step = torch.optim.SGD(layer.parameters(), lr=0.1)
                    shape = (2, 3, layer.input_size)
                    layer(torch.randn(shape, dtype=next(layer.parameters()).dtype))[0].square().sum().backward()
                    step.step()
                    step.zero_grad()
            if draw.random() < 0.15:
                with layer.frozen():
                    one_call(draw, layer)
                    one_call(draw, layer)
            else:
                one_call(draw, layer)
    finally:
        torch.set_num_threads(before)
