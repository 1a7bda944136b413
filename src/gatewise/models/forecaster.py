"""The steps to come of a series, told at every step of it: recurrent layers, and a blend of what lies near at hand."""

import torch
from torch import Tensor, nn

from gatewise.layers.inputs import State
from gatewise.models.encoder import Encoder


class Forecaster(nn.Module):
    """Numbers for each of K steps to come, at each step of a series that was read up to there.

    To what is read out of the hidden state, a weighted sum of R references is added (last value, last season …): so the
    network learns what they leave, as in the linear part of LSTNet (Lai et al. 2018, arXiv:1703.07015). Each step to
    come is told by itself from one state, as in Wen et al. 2017 (arXiv:1711.11053), which trains at all steps at once.

    Args:
        encoder: reads the series, forward alone.
        horizon: K.
        references: R.
        outputs: Q, the numbers of a step.
        located: how many of those, from the first, move with the references.
        future_size: F, what is known of each step to come; 0 for nothing.

    >>> model = Forecaster(Encoder("gru_cudnn", 3, 8), horizon=4, references=2, outputs=3)
    >>> hidden, state = model.read(torch.randn(10, 2, 3), torch.tensor([10, 7]))
    >>> model.decode(hidden[-1], torch.randn(2, 4, 2)).shape
    torch.Size([2, 4, 3])
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        horizon: int,
        references: int,
        outputs: int,
        located: int | None = None,
        future_size: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.horizon, self.outputs = horizon, outputs
        self.blend = nn.Parameter(torch.zeros(horizon, references))
        self.read_out = nn.Linear(encoder.width, horizon * outputs)
        # It begins as the references alone.
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)
        self.future = _FutureReadOut(encoder.width, future_size, outputs) if future_size else None
        moved = torch.arange(outputs) < (outputs if located is None else located)
        self.register_buffer("moved", moved.float(), persistent=False)

    def read(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Hidden states (T, B, H) at all steps of series (T, B, I) of lengths (B,), and the state after them."""
        output, after = self.encoder.recurrent(x, state, lengths=lengths)
        return self.encoder.dropout(output), after

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The hidden state (B, H) after one more step (B, I), and the state to go on from."""
        return self.encoder.recurrent.step(x, state)

    def decode(self, hidden: Tensor, references: Tensor, future: Tensor | None = None) -> Tensor:
        """The numbers of the steps to come.

        Args:
            hidden: (N, H).
            references: (N, K, R).
            future: (N, K, F), what is known of the steps to come.

        Returns:
            (N, K, Q).
        """
        located = (references * self.blend).sum(-1, keepdim=True) * self.moved
        told = self.read_out(hidden).unflatten(-1, (self.horizon, self.outputs))
        if self.future is not None:
            assert future is not None
            told = told + self.future(hidden, future)
        return told + located


class _FutureReadOut(nn.Module):
    """What the hidden state says in the light of what is known of a step to come."""

    def __init__(self, width: int, future_size: int, outputs: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(width, width)
        self.of_future = nn.Linear(future_size, width, bias=False)
        self.read_out = nn.Linear(width, outputs, bias=False)
        nn.init.zeros_(self.read_out.weight)

    def forward(self, hidden: Tensor, future: Tensor) -> Tensor:
        return self.read_out(torch.tanh(self.of_state(hidden)[:, None] + self.of_future(future)))
