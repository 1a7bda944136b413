"""Learning rates by epoch."""

import pytest
import torch
from torch import nn

from gatewise.tasks.options import choose
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


WARM = [0.25, 0.5, 0.75, 1.0]


def test_warm_up_is_followed_by_a_cosine_over_the_rest():
    steps, last = rates(TrainingOptions(lr=1.0, warmup=4), 14)
    assert steps[:5] == pytest.approx([*WARM, 1.0])
    assert steps[9] == pytest.approx(0.5)
    assert last == pytest.approx(0.0, abs=1e-12)


def test_warm_up_before_a_decay_by_epoch():
    options = TrainingOptions(lr=1.0, schedule="step", decay=0.5, decay_from=2, epochs=4, warmup=4)
    steps, _ = rates(options, 12)  # 3 steps in an epoch
    assert steps == pytest.approx([*WARM, 1.0, 1.0, *[0.5] * 3, *[0.25] * 3])


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_warm_up_of_others_leaves_what_a_plateau_decays(schedule):
    options = TrainingOptions(lr=1.0, schedule=schedule, warmup=4)
    steps, last = rates(options, 8)
    assert [*steps, last] == pytest.approx([*WARM, *[1.0] * 5])
    optimizer = make_optimizer(options, nn.Linear(1, 1))
    scheduler = make_schedule(options, optimizer, 9)["scheduler"]
    for step in range(8):
        optimizer.step()
        if step == 6:
            optimizer.param_groups[0]["lr"] *= 0.5
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def test_a_run_with_a_limit_warms_up_too():
    options = TrainingOptions(lr=1.0, warmup=2)
    optimizer = make_optimizer(options, nn.Linear(1, 1))
    scheduler = make_schedule(options, optimizer, 100, lambda: 0.5)["scheduler"]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "step"])
def test_a_run_is_longer_than_its_warm_up(schedule):
    options = TrainingOptions(schedule=schedule, warmup=10)
    with pytest.raises(ValueError, match="warmup: expected fewer steps than the run has, 10, got 10"):
        make_schedule(options, make_optimizer(options, nn.Linear(1, 1)), 10)


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_momentum(name):
    optimizer = make_optimizer(TrainingOptions(optimizer=name, momentum=0.9), nn.Linear(1, 1))
    assert optimizer.defaults["momentum"] == 0.9
    for other in ("adam", "adamw"):
        with pytest.raises(ValueError, match=f"momentum: has no effect: optimizer is {other}, neither sgd nor"):
            choose(TrainingOptions, {"momentum": 0.9, "optimizer": other})
