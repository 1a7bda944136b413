"""How far back a gradient reaches, on a unit whose factor per step is known."""

import math
from typing import Any

import pytest
import torch

import gatewise
from gatewise.diagnostics import Horizon


def horizon(factor: float, steps: int = 20, batch: int = 3, **options: Any) -> list[Horizon]:
    """Of a linear unit, h_t = factor · h_{t−1} + x_t with all of it positive; both directions."""
    layer = gatewise.Recurrent("rnn_relu", 1, 1, bias=False, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.fill_(factor if name.startswith("weight_hh") else 1.0)
    with gatewise.watch(layer) as trace, torch.no_grad():
        layer(torch.ones(steps, batch, 1, dtype=torch.float64), **options)
    return list(trace.memory_horizon().values())


@pytest.mark.parametrize(
    ("factor", "outcome", "steps", "seen"),
    [
        (0.5, "vanishes", 7, True),
        (2.0, "explodes", 7, True),
        (0.9, "vanishes", math.log(0.01) / math.log(0.9), False),
        (1.1, "explodes", math.log(100) / math.log(1.1), False),
        (1.0, "lasts", math.inf, False),
    ],
)
def test_a_known_factor(factor: float, outcome: str, steps: float, seen: bool):
    for one in horizon(factor):
        assert (one.outcome, one.seen) == (outcome, seen)
        assert one.rate == pytest.approx(factor)
        assert one.steps == pytest.approx(steps)
        torch.testing.assert_close(one.norms, factor ** torch.arange(20, dtype=torch.float64))
        assert outcome in str(one) or "falls to 1 %" in str(one) or "grows 100-fold" in str(one)


@pytest.mark.parametrize("lengths", [[20, 7, 0], [5, 5, 1]])
def test_rows_that_end(lengths: list[int]):
    for one in horizon(0.5, lengths=torch.tensor(lengths)):
        torch.testing.assert_close(one.norms, 0.5 ** torch.arange(max(lengths), dtype=torch.float64))


def test_reset_ends_the_measurement_of_its_row():
    reset = torch.zeros(20, 3, dtype=torch.bool)
    reset[14] = True  # steps 14 to 19 forward; 0 to 13 in reverse
    forward, reverse = horizon(0.5, reset=reset)
    assert len(forward.norms) == 6
    assert len(reverse.norms) == 14
    reset[:, 1:] = False
    for one in horizon(0.5, reset=reset):
        torch.testing.assert_close(one.norms, 0.5 ** torch.arange(20, dtype=torch.float64))


def test_nothing_passes():
    for one in horizon(0.0):
        assert (one.outcome, one.steps, one.rate) == ("vanishes", 1, 0.0)


def test_a_single_step():
    for one in horizon(0.5, steps=1):
        assert (one.outcome, one.steps) == ("lasts", math.inf)


def test_beyond_the_largest_number():
    for one in horizon(1e30):
        assert (one.outcome, one.steps) == ("explodes", 1)
