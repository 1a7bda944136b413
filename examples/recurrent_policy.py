"""A recurrent policy that must remember: advantage actor-critic with a GRU in the T-maze of Bakker 2002.

At the start of a corridor a sign says left or right; at its end, 5 to 10 steps later, the agent turns. Many
mazes run side by side and each begins again when it is done, so episodes end anywhere inside a window of
experience: `reset` says where. While acting the GRU runs by `step(…, reset=…)`; to learn, the same window runs
once more as a whole sequence with the same resets, and the gradient stops at each.

    python examples/recurrent_policy.py
    python examples/recurrent_policy.py --forget     # the same, with a reset before every step

Paper: B. Bakker, "Reinforcement Learning with Long Short-Term Memory", NIPS 2001 (proceedings of 2002).
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import gatewise

FORWARD, LEFT, RIGHT = range(3)
CHANCE = 0.5
State = Tensor | tuple[Tensor, ...]


class Mazes:
    """B corridors, one agent in each. What the agent sees, (B, 3): sign says left, sign says right, at the junction."""

    def __init__(self, batch: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.side = np.zeros(batch, dtype=np.int64)
        self.left_to_go = np.zeros(batch, dtype=np.int64)
        self.started = np.ones(batch, dtype=bool)
        self._begin(self.started)

    def _begin(self, rows: np.ndarray) -> None:
        self.side[rows] = self.random.integers(LEFT, RIGHT + 1, rows.sum())
        self.left_to_go[rows] = self.random.integers(5, 11, rows.sum())
        self.started = rows

    def look(self) -> tuple[Tensor, Tensor]:
        """What is seen now, (B, 3), and whether an episode starts here, (B,) bool."""
        seen = np.stack(
            [self.started & (self.side == LEFT), self.started & (self.side == RIGHT), self.left_to_go == 0], axis=1
        )
        return torch.from_numpy(seen.astype(np.float32)), torch.from_numpy(self.started.copy())

    def act(self, actions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Reward (B,), and whether the episode ended, (B,) bool.

        The reward is 1 for the turn that the sign said, −1 for the other, −0.1 for walking into a wall, else 0.
        """
        at_junction = self.left_to_go == 0
        ended = at_junction & (actions != FORWARD)
        reward = np.where(ended, np.where(actions == self.side, 1.0, -1.0), 0.0)
        reward[at_junction != (actions != FORWARD)] = -0.1
        self.left_to_go -= ~at_junction & (actions == FORWARD)
        self._begin(ended)
        return torch.from_numpy(reward.astype(np.float32)), torch.from_numpy(ended)


class Policy(nn.Module):
    """A GRU with two heads: how likely each action is, and how much reward is still to come."""

    def __init__(self, hidden_size: int = 32) -> None:
        super().__init__()
        self.memory = gatewise.GRU(3, hidden_size, variant="chung2014", init="default")
        self.actor = nn.Linear(hidden_size, 3)
        self.critic = nn.Linear(hidden_size, 1)

    def read(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the actions (…, 3) and value (…) from the GRU's output (…, H)."""
        return self.actor(y), self.critic(y).squeeze(-1)


class Window(NamedTuple):
    """T steps of experience, each (T, B) but the observation (T, B, 3), the state before it and the value after it."""

    state: State | None
    seen: Tensor
    reset: Tensor
    action: Tensor
    reward: Tensor
    ended: Tensor
    value_after: Tensor


@torch.no_grad()
def act(policy: Policy, mazes: Mazes, state: State | None, steps: int, forget: bool) -> tuple[Window, State | None]:
    """Live through a window, step by step."""
    before, rows = state, []
    for _ in range(steps):
        seen, reset = mazes.look()
        reset |= forget
        y, state = policy.memory.step(seen, state, reset=reset)
        action = torch.distributions.Categorical(logits=policy.read(y)[0]).sample()
        reward, ended = mazes.act(action.numpy())
        rows.append((seen, reset, action, reward, ended))
    seen, reset = mazes.look()
    _, value_after = policy.read(policy.memory.step(seen, state, reset=reset | forget)[0])
    seen, reset, action, reward, ended = (torch.stack(column) for column in zip(*rows, strict=True))
    return Window(before, seen, reset, action, reward, ended, value_after), state


def returns(window: Window, discount: float) -> Tensor:
    """The discounted reward to come at each step, (T, B); nothing comes from beyond an episode's end."""
    ahead, result = window.value_after, torch.empty_like(window.reward)
    for t in reversed(range(len(result))):
        result[t] = ahead = window.reward[t] + discount * ahead * ~window.ended[t]
    return result


def loss(policy: Policy, window: Window, discount: float = 0.95, entropy_weight: float = 0.01) -> Tensor:
    """The actor-critic loss, from the whole window at once."""
    y, _ = policy.memory(window.seen, window.state, reset=window.reset)
    logits, value = policy.read(y)
    actions = torch.distributions.Categorical(logits=logits)
    target = returns(window, discount)
    actor = -(actions.log_prob(window.action) * (target - value.detach())).mean()
    return actor + 0.5 * functional.mse_loss(value, target) - entropy_weight * actions.entropy().mean()


def success(window: Window) -> float:
    """The share of the episodes that ended in this window with the turn that the sign said."""
    return (window.reward[window.ended] > 0).float().mean().item()


def learn(updates: int = 300, batch: int = 64, steps: int = 40, seed: int = 0, forget: bool = False) -> float:
    """Train a policy, telling how it goes. Returns the success rate of the last ten windows."""
    torch.manual_seed(seed)
    policy, mazes, state = Policy(), Mazes(batch, seed), None
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    rates, started = [], time.perf_counter()
    for update in range(1, updates + 1):
        window, state = act(policy, mazes, state, steps, forget)
        optimiser.zero_grad()
        loss(policy, window).backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimiser.step()
        rates.append(success(window))
        if update % 50 == 0 or update == updates:
            recent = float(np.mean(rates[-10:]))
            seconds = time.perf_counter() - started
            print(f"{update:4d} updates, {seconds:3.0f} s: {recent:4.0%} turn as the sign said (chance {CHANCE:.0%})")
    return float(np.mean(rates[-10:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A GRU policy in the T-maze.")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forget", action="store_true", help="reset before every step: no memory, for comparison")
    options = parser.parse_args()
    torch.set_num_threads(1)  # such small tensors gain nothing from more
    learn(options.updates, seed=options.seed, forget=options.forget)
