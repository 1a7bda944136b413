"""Attention: for each step of the decoder, a weighted mean of the encoder's outputs."""

from typing import Literal, NamedTuple, Self

from torch import Tensor, nn

from gatewise.models.encoder import length_mask

Score = Literal["dot", "general", "additive"]


class Memory(NamedTuple):
    """The encoded source that a decoder attends to.

    Attributes:
        values: the encoder's outputs, (S, B, W).
        keys: compared with the queries, (S, B, A).
        valid: which steps belong to their sequence, (B, 1, S) bool.
    """

    values: Tensor
    keys: Tensor
    valid: Tensor

    def rows(self, indices: Tensor) -> Self:
        """Some of the rows, in a given order."""
        return type(self)(self.values[:, indices], self.keys[:, indices], self.valid[indices])


class Attention(nn.Module):
    """The context c_t = Σ_s a_ts h̄_s with a_t = softmax over s of score(q_t, h̄_s).

    - dot: qᵀ h̄ (Luong et al. 2015, arXiv:1508.04025, eq. 8); needs H = W;
    - general: qᵀ W_a h̄ (the same);
    - additive: vᵀ tanh(W_a q + U_a h̄ + b_a) (Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2).

    Args:
        score: the score function.
        query_size: H, the width of a query.
        memory_size: W, the width of the encoder's outputs.

    Raises:
        ValueError: for dot with different widths.

    >>> import torch
    >>> attention = Attention("general", 4, 6)
    >>> memory = attention.memory(torch.randn(5, 2, 6), torch.tensor([5, 3]))
    >>> context, weights = attention(torch.randn(7, 2, 4), memory)
    >>> context.shape, weights.shape, weights[0, 1, 3:].tolist()
    (torch.Size([7, 2, 6]), torch.Size([7, 2, 5]), [0.0, 0.0])
    """

    def __init__(self, score: Score, query_size: int, memory_size: int) -> None:
        super().__init__()
        if score == "dot" and query_size != memory_size:
            raise ValueError(
                f"attention dot compares vectors of one width, and the decoder's is {query_size}, the encoder's "
                f"{memory_size}; take general, or make them equal"
            )
        self.key = None if score == "dot" else nn.Linear(memory_size, query_size, bias=False)
        self.query = nn.Linear(query_size, query_size) if score == "additive" else None
        self.v = nn.Linear(query_size, 1, bias=False) if score == "additive" else None

    def memory(self, values: Tensor, lengths: Tensor) -> Memory:
        """Project the encoder's outputs to keys.

        Args:
            values: the encoder's outputs, (S, B, W).
            lengths: (B,) int64, each at least 1.
        """
        keys = values if self.key is None else self.key(values)
        # Not len(values), which would fix the number of steps of an exported program.
        return Memory(values, keys, length_mask(values.shape[0], lengths).t()[:, None])

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            query: (T, B, H), where T counts the queries of a row: steps or hypotheses.
            memory: the result of `memory`.

        Returns:
            the contexts (T, B, W) and the weights (T, B, S), 0 in the padding.
        """
        query, keys = query.transpose(0, 1), memory.keys.transpose(0, 1)
        if self.v is None or self.query is None:
            scores = query @ keys.transpose(1, 2)
        else:
            scores = self.v((self.query(query)[:, :, None] + keys[:, None]).tanh())[..., 0]
        weights = scores.masked_fill(~memory.valid, float("-inf")).softmax(-1)
        return (weights @ memory.values.transpose(0, 1)).transpose(0, 1), weights.transpose(0, 1)
