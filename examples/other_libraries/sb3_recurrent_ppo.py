"""RecurrentPPO of sb3-contrib: its policy with our LSTMs, and `reset=` instead of its loop over steps.

pip install sb3-contrib
python examples/other_libraries/sb3_recurrent_ppo.py     # trains for some seconds
"""

from collections.abc import Callable

import gymnasium
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.ppo_recurrent import MlpLstmPolicy
from torch import Tensor

import gatewise


class Policy(MlpLstmPolicy):
    """MlpLstmPolicy with layers of gatewise; CnnLstmPolicy and MultiInputLstmPolicy are subclassed in the same way."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # The same Parameter objects move, so the optimizer made before remains right.
        gatewise.replace(self)

    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):
        rows = lstm_states[0].shape[1]
        x = features.reshape(rows, -1, lstm.input_size).transpose(0, 1)
        reset = episode_starts.reshape(rows, -1).transpose(0, 1) > 0
        output, lstm_states = lstm(x, lstm_states, reset=reset)
        return output.transpose(0, 1).flatten(0, 1), lstm_states


def cases(
    rows: int = 8, steps: int = 128, features: int = 64, hidden: int = 256
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the library's own way and ours; both return outputs and gradients of the same weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows * steps, features, generator=generator)
    starts = (torch.rand(rows * steps, generator=generator) < 0.03).float()
    state = tuple(torch.randn(1, rows, hidden, generator=generator) for _ in "hc")
    theirs = torch.nn.LSTM(features, hidden)
    ours = gatewise.LSTM(features, hidden)
    ours.load_state_dict(theirs.state_dict())

    def update(policy: type[MlpLstmPolicy], lstm: torch.nn.Module) -> list[Tensor]:
        output, _ = policy._process_sequence(x, state, starts, lstm)
        return [output.detach(), *torch.autograd.grad(output.square().mean(), list(lstm.parameters()))]

    shape = f"{rows} rows of {steps} steps, 3 % of them first steps of an episode, {features} features, {hidden} units"
    return {
        f"forward and backward of an update: {shape}": (
            lambda: update(MlpLstmPolicy, theirs),
            lambda: update(Policy, ours),
        )
    }


def learn(policy: type[MlpLstmPolicy] = Policy, steps: int = 4096) -> RecurrentPPO:
    """Train on CartPole."""
    environment = gymnasium.make("CartPole-v1")
    model = RecurrentPPO(policy, environment, n_steps=512, batch_size=128, seed=0)
    return model.learn(steps)


if __name__ == "__main__":
    torch.set_num_threads(1)  # such small tensors gain nothing from more
    trained = learn()
    print(trained.policy.lstm_actor)
