"""Multi-step forecasting: recurrent layers, and a linear combination of reference values."""

import torch
from torch import Tensor, nn

from gatewise.layers.validation import State
from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.encoder import Encoder


class Forecaster(nn.Module):
    """Predicts K future steps at each step of a series.

    A weighted sum of references is added to the read-out of the hidden state: R references common to all future steps
    (the last value, for example) and optionally one per step (that of the season before). The network learns the
    residual, as beside the linear part of LSTNet (Lai et al. 2018, arXiv:1703.07015). Each future step is predicted
    directly from one state, as in Wen et al. 2017 (arXiv:1711.11053), which trains at all steps at once.

    Args:
        encoder: encodes the series, in the forward direction only.
        horizon: K, the number of future steps.
        references: R, the number of common references.
        seasonal: whether there is a reference per step.
        outputs: Q, the number of outputs per step.
        located: the number of outputs, from the first, to which the references are added.
        future_size: F, the number of known covariates of a future step; categorical ones count with their embeddings.
        categories: the embedding of categorical covariates, whose numbers are the last inputs and covariates of a step.

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
        categories: CategoryEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.horizon, self.outputs, self.seasonal = horizon, outputs, seasonal
        self.blend = nn.Parameter(torch.zeros(references + seasonal, horizon))
        self.read_out = nn.Linear(encoder.width, horizon * outputs)
        # Initially the prediction is that of the references alone.
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)
        self.categories = categories
        self.future = _FutureReadOut(encoder.width, future_size, outputs) if future_size else None
        self.located = outputs if located is None else located

    def read(self, x: Tensor, lengths: Tensor, first: int = 0, state: State | None = None) -> tuple[Tensor, State]:
        """Hidden states (T − first, B, H) at steps of series (T, B, I) of lengths (B,), and the state after them.

        The initial state is zero by default.
        """
        output, after = self.encoder.recurrent(self._embedded(x), state, lengths=lengths)
        return self.encoder.dropout(output[first:]), after

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The hidden state (B, H) after one more step (B, I), and the new state."""
        return self.encoder.recurrent.step(self._embedded(x), state)

    def _embedded(self, values: Tensor) -> Tensor:
        """Values (…, I) with the embeddings of categorical ones in place of their numbers."""
        if self.categories is None:
            return values
        count = len(self.categories.categories)
        numbers, categories = values.split((values.shape[-1] - count, count), -1)
        return self.categories(numbers, categories.long())

    def decode(self, hidden: Tensor, references: Tensor, future: Tensor | None = None) -> Tensor:
        """The predictions of the future steps.

        Args:
            hidden: (N, H).
            references: (N, R), or (N, R + K) with a reference per step.
            future: (N, K, F), the known covariates of the future steps.

        Returns:
            (N, K, Q).
        """
        count = len(self.blend) - self.seasonal
        located = references[:, :count] @ self.blend[:count]
        if self.seasonal:
            located = located + references[:, count:] * self.blend[-1]
        predicted = self.read_out(hidden).unflatten(-1, (self.horizon, self.outputs))
        if self.future is not None:
            assert future is not None
            predicted = predicted + self.future(hidden, self._embedded(future))
        if self.located == self.outputs:
            return predicted + located[..., None]
        moved, unmoved = predicted.split((self.located, self.outputs - self.located), -1)
        return torch.cat((moved + located[..., None], unmoved), -1)


class _FutureReadOut(nn.Module):
    """A read-out of the hidden state and the known covariates of a future step."""

    def __init__(self, width: int, future_size: int, outputs: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(width, width)
        self.of_future = nn.Linear(future_size, width, bias=False)
        self.read_out = nn.Linear(width, outputs, bias=False)
        nn.init.zeros_(self.read_out.weight)

    def forward(self, hidden: Tensor, future: Tensor) -> Tensor:
        return self.read_out(torch.tanh(self.of_state(hidden)[:, None] + self.of_future(future)))
