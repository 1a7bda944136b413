"""The steps to come of a series, told at every step of it: recurrent layers, and a blend of what lies near at hand."""

import torch
from torch import Tensor, nn

from gatewise.layers.validation import State
from gatewise.models.encoder import Encoder


class Forecaster(nn.Module):
    """Numbers for each of K steps to come, at each step of a series that was read up to there.

    To what is read out of the hidden state, a weighted sum of references is added, R that are the same for all steps to
    come (the last value, say) and one of each step's own (that of the season before): the network learns what they
    leave, as beside the linear part of LSTNet (Lai et al. 2018, arXiv:1703.07015). Each step to come is told by itself
    from one state, as in Wen et al. 2017 (arXiv:1711.11053), which trains at all steps at once.

    Args:
        encoder: reads the series, forward alone.
        horizon: K.
        references: R.
        seasonal: whether there is one of each step's own.
        outputs: Q, the numbers of a step.
        located: how many of those, from the first, move with the references.
        future_size: F, what is known of each step to come; 0 for nothing.

    >>> model = Forecaster(Encoder("gru_cudnn", 3, 8), horizon=4, references=2, outputs=3)
    >>> hidden, state = model.read(torch.randn(10, 2, 3), torch.tensor([10, 7]))
    >>> model.decode(hidden[-1], torch.randn(2, 2)).shape
    torch.Size([2, 4, 3])
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        horizon: int,
        references: int,
        seasonal: bool = False,
        outputs: int,
        located: int | None = None,
        future_size: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.horizon, self.outputs, self.seasonal = horizon, outputs, seasonal
        self.blend = nn.Parameter(torch.zeros(references + seasonal, horizon))
        self.read_out = nn.Linear(encoder.width, horizon * outputs)
        # It begins as the references alone.
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)
        self.future = _FutureReadOut(encoder.width, future_size, outputs) if future_size else None
        self.located = outputs if located is None else located

    def read(self, x: Tensor, lengths: Tensor, first: int = 0, state: State | None = None) -> tuple[Tensor, State]:
        """Hidden states (T − first, B, H) at steps of series (T, B, I) of lengths (B,), and the state after them.

        They go on from a state, by default zero.
        """
        output, after = self.encoder.recurrent(x, state, lengths=lengths)
        return self.encoder.dropout(output[first:]), after

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The hidden state (B, H) after one more step (B, I), and the state to go on from."""
        return self.encoder.recurrent.step(x, state)

    def decode(self, hidden: Tensor, references: Tensor, future: Tensor | None = None) -> Tensor:
        """The numbers of the steps to come.

        Args:
            hidden: (N, H).
            references: (N, R), and (N, R + K) with those of the steps' own.
            future: (N, K, F), what is known of the steps to come.

        Returns:
            (N, K, Q).
        """
        count = len(self.blend) - self.seasonal
        located = references[:, :count] @ self.blend[:count]
        if self.seasonal:
            located = located + references[:, count:] * self.blend[-1]
        told = self.read_out(hidden).unflatten(-1, (self.horizon, self.outputs))
        if self.future is not None:
            assert future is not None
            told = told + self.future(hidden, future)
        if self.located == self.outputs:
            return told + located[..., None]
        moved, unmoved = told.split((self.located, self.outputs - self.located), -1)
        return torch.cat((moved + located[..., None], unmoved), -1)


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
