"""The example of a recurrent policy learns, and learns from what it saw while acting."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "recurrent_policy.py"
    spec = importlib.util.spec_from_file_location("recurrent_policy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_learns_to_remember_the_sign(example):
    assert example.learn(updates=200, seed=1) > 0.95


def test_without_memory_it_stays_at_chance(example):
    assert 0.4 < example.learn(updates=60, seed=1, forget=True) < 0.6


def test_the_window_at_once_is_what_was_seen_step_by_step(example):
    torch.manual_seed(0)
    policy, mazes = example.Policy(), example.Mazes(batch=5, seed=0)
    _, state = example.act(policy, mazes, None, steps=7, forget=False)
    window, state_after = example.act(policy, mazes, state, steps=30, forget=False)
    assert window.reset.any(dim=0).all()
    output, final = policy.memory(window.seen, window.state, reset=window.reset)
    torch.testing.assert_close(final, state_after)
    carried = window.state
    for t in range(30):
        y, carried = policy.memory.step(window.seen[t], carried, reset=window.reset[t])
        torch.testing.assert_close(output[t], y)


def test_reward_is_not_carried_over_the_end_of_an_episode(example):
    window = example.Window(
        state=None,
        seen=torch.zeros(3, 1, 3),
        reset=torch.tensor([[False], [False], [True]]),
        action=torch.zeros(3, 1, dtype=torch.long),
        reward=torch.tensor([[0.0], [1.0], [0.0]]),
        ended=torch.tensor([[False], [True], [False]]),
        value_after=torch.tensor([4.0]),
    )
    torch.testing.assert_close(example.returns(window, discount=0.5), torch.tensor([[0.5], [1.0], [2.0]]))


def test_the_mazes_play_by_the_rules(example):
    mazes = example.Mazes(batch=200, seed=0)
    side, length = mazes.side.copy(), mazes.left_to_go.copy()
    assert set(length) == set(range(5, 11))
    seen, starts = mazes.look()
    assert starts.all()
    assert (seen[:, 0].numpy() == (side == example.LEFT)).all()
    for _ in range(10):
        reward, ended = mazes.act(side * 0 + example.FORWARD)
        assert not ended.any()
        seen, _ = mazes.look()
        assert not seen[:, :2].any()
    assert seen[:, 2].all()
    assert (reward[length < 10] == torch.tensor(-0.1)).all()
    reward, ended = mazes.act(side)
    assert ended.all()
    assert (reward == 1).all()
    assert mazes.look()[1].all()
