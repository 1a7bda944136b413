import math

import pytest
import torch
from torch import nn

from gatewise.studies.training import Batch, train


def run_with(losses, right=True):
    given = iter(losses)

    def run(network, count):
        return Batch(network.weight.sum() * 0 + next(given), torch.full((count,), right))

    network = nn.Linear(1, 1, bias=False)
    return network, run, torch.optim.SGD(network.parameters(), 0.1)


def test_it_ends_when_the_window_is_right():
    network, run, optimiser = run_with([1.0] * 10)
    found = train(network, run, optimiser=optimiser, sequences=40, batch=4, window=12)
    assert (found.solved_after, found.sequences, found.diverged) == (12, 12, False)


def test_a_single_wrong_sequence_begins_the_window_anew():
    network, _, optimiser = run_with([])
    steps = iter(range(100))

    def run(network, count):
        right = torch.ones(count, dtype=torch.bool)
        right[0] = next(steps) != 1
        return Batch(network.weight.sum() * 0, right)

    found = train(network, run, optimiser=optimiser, sequences=400, batch=4, window=8)
    assert found.solved_after == 16


def test_the_mean_loss_of_the_window_counts_too():
    network, run, optimiser = run_with([1.0, 1.0, 0.1, 0.1])
    found = train(network, run, optimiser=optimiser, sequences=16, batch=4, window=8, solved_loss=0.5)
    assert found.solved_after == 16


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_divergence(value):
    network, run, optimiser = run_with([1.0, value, 1.0])
    found = train(network, run, optimiser=optimiser, sequences=12, batch=4)
    assert (found.diverged, found.sequences, found.solved_after) == (True, 8, None)
    assert found.score(12) == 1000.0


def test_the_curve_covers_all_sequences():
    network, run, optimiser = run_with([float(step) for step in range(100)], right=False)
    found = train(network, run, optimiser=optimiser, sequences=400, batch=4)
    assert found.curve[:2] == [(12, 1.0), (24, 4.0)]
    assert found.curve[-1] == (400, 99.0)
