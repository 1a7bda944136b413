"""LSTMModule and GRUModule of torchrl with our layers, and a module whose training is one call with `reset=`.

pip install torchrl
python examples/other_libraries/torchrl_modules.py
"""

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import InteractionType, TensorDictModule, TensorDictSequential
from torch import Tensor, nn
from torchrl.envs import Compose, GymEnv, InitTracker, TransformedEnv
from torchrl.modules import GRUModule, LSTMModule, OneHotCategorical, ProbabilisticActor, set_recurrent_mode

import gatewise


def lstm_module(input_size: int, hidden_size: int, **options: Any) -> LSTMModule:
    """torchrl's module around our layer, which takes the mask that the module passes to it."""
    layer = gatewise.LSTM(input_size, hidden_size, batch_first=True)
    return LSTMModule(lstm=layer, in_key="observation", out_key="features", **options)


def gru_module(input_size: int, hidden_size: int, **options: Any) -> GRUModule:
    """The same for a GRU."""
    layer = gatewise.GRU(input_size, hidden_size, batch_first=True)
    return GRUModule(gru=layer, in_key="observation", out_key="features", **options)


class ResetLSTMModule(LSTMModule):
    """In recurrent mode one call with `reset=`, instead of rows split at each first step, padded and put together.

    The state at the end of a row is written to its last step; at other ends of episodes, where nothing reads it, it is
    zero. An episode that begins inside a row begins with zeros, which is what InitTracker and TensorDictPrimer write.
    """

    def forward(self, tensordict: TensorDict) -> TensorDict:
        if not self.recurrent_mode:
            return super().forward(tensordict)
        flat = tensordict.reshape(-1, tensordict.shape[-1])
        x, reset = flat[self.in_keys[0]], flat["is_init"].squeeze(-1).clone()
        reset[:, 0] = False  # a row continues from the stored state
        stored = [flat.get(key, None) for key in self.in_keys[1:3]]
        state = None if stored[0] is None else tuple(one[:, 0].transpose(0, 1).contiguous() for one in stored)
        y, finals = self.lstm(x, state, reset=reset)
        shape = tensordict.shape
        tensordict.set(self.out_keys[0], y.reshape(*shape, -1))
        for key, final in zip(self.out_keys[1:], finals, strict=True):
            states = final.new_zeros(*x.shape[:2], *final.transpose(0, 1).shape[1:])
            states[:, -1] = final.transpose(0, 1)
            tensordict.set(key, states.reshape(*shape, *states.shape[2:]))
        return tensordict


def reset_lstm_module(input_size: int, hidden_size: int, **options: Any) -> ResetLSTMModule:
    """That module around our layer."""
    layer = gatewise.LSTM(input_size, hidden_size, batch_first=True)
    return ResetLSTMModule(lstm=layer, in_key="observation", out_key="features", **options)


def batch(rows: int, steps: int, features: int, hidden: int, first_steps: float) -> TensorDict:
    """As a collector returns it, with states of zero."""
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(rows, steps, 1, generator=generator) < first_steps
    states = {f"recurrent_state_{name}": torch.zeros(rows, steps, 1, hidden) for name in "hc"}
    x = torch.randn(rows, steps, features, generator=generator)
    return TensorDict({"observation": x, "is_init": first, **states}, [rows, steps])


def cases(
    rows: int = 16, steps: int = 128, features: int = 64, hidden: int = 256
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the library's own way and ours; both return outputs and gradients of the same weights."""
    data = batch(rows, steps, features, hidden, 0.03)
    theirs = LSTMModule(features, hidden, in_key="observation", out_key="features", default_recurrent_mode=True)
    drop_in = lstm_module(features, hidden, default_recurrent_mode=True)
    ours = reset_lstm_module(features, hidden, default_recurrent_mode=True)
    for module in (drop_in, ours):
        module.lstm.load_state_dict(theirs.lstm.state_dict())

    def update(module: Any) -> list[Tensor]:
        output = module(data.clone())["features"]
        return [output.detach(), *torch.autograd.grad(output.square().mean(), list(module.parameters()))]

    shape = f"{rows} rows of {steps} steps, 3 % of them first steps of an episode, {features} features, {hidden} units"
    return {
        f"{name}, forward and backward of an update: {shape}": (lambda: update(theirs), lambda own=own: update(own))
        for name, own in {"our layer in LSTMModule": drop_in, "ResetLSTMModule": ours}.items()
    }


def learn(frames: int = 20_000) -> Tensor:
    """Collect CartPole step by step, train on each batch as a whole (REINFORCE); returns mean lengths of episodes."""
    torch.manual_seed(0)
    memory = reset_lstm_module(4, 32)
    first_steps = Compose(InitTracker(), memory.make_tensordict_primer())
    environment = TransformedEnv(GymEnv("CartPole-v1"), first_steps)
    logits = TensorDictModule(nn.Linear(32, 2), in_keys=["features"], out_keys=["logits"])
    actor = ProbabilisticActor(
        TensorDictSequential(memory, logits),
        in_keys=["logits"],
        distribution_class=OneHotCategorical,
        default_interaction_type=InteractionType.RANDOM,
    )
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)
    lengths = []
    for _ in range(frames // 1000):
        with torch.no_grad():
            data = environment.rollout(1000, actor, break_when_any_done=False)
        ahead = torch.zeros(1)
        rewards, ended = data["next", "reward"], data["next", "done"]
        returns = torch.zeros_like(rewards)
        for t in reversed(range(len(rewards))):
            returns[t] = ahead = rewards[t] + 0.98 * ahead * ~ended[t]
        with set_recurrent_mode(True):
            distribution = actor.get_dist(data[None])
        log_probability = distribution.log_prob(data["action"][None])[0]
        loss = -(log_probability * (returns - returns.mean())[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(len(rewards) / max(1, int(ended.sum())))
    return torch.tensor(lengths)


if __name__ == "__main__":
    torch.set_num_threads(1)  # such small tensors gain nothing from more
    print("steps of an episode, by batch:", [round(length) for length in learn().tolist()])
