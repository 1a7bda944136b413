"""Learning rates by epoch."""

import pytest
import torch
from torch import nn

from gatewise.tasks.schedules import make_optimizer, make_schedule
from gatewise.tasks.training_options import TrainingOptions


def rates(options, steps):
    optimizer = make_optimizer(options, nn.Linear(1, 1))
    scheduler = make_schedule(options, optimizer, steps)["scheduler"]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer.param_groups[0]["lr"]


def test_step_is_halved_after_each_epoch_from_the_fifth_on():
    options = TrainingOptions(optimizer="sgd", lr=1.0, schedule="step", decay=0.5, decay_from=5, epochs=13)
    epochs, _ = rates(options, 13)
    assert epochs == [1.0] * 5 + [0.5**power for power in range(1, 9)]


def test_cosine_goes_from_lr_to_zero():
    steps, last = rates(TrainingOptions(lr=2.0, schedule="cosine"), 10)
    assert steps[0] == 2.0
    assert steps[5] == pytest.approx(1.0)
    assert steps == sorted(steps, reverse=True)
    assert last == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_others_have_no_schedule_of_steps(schedule):
    options = TrainingOptions(schedule=schedule)
    assert make_schedule(options, make_optimizer(options, nn.Linear(1, 1)), 10) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sgd", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_optimisers_take_rate_and_decay(name, kind):
    optimizer = make_optimizer(TrainingOptions(optimizer=name, lr=0.25, weight_decay=0.125), nn.Linear(1, 1))
    assert type(optimizer) is kind
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.25, 0.125)
