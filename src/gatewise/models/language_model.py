"""The recurrent language model: embedding, recurrent layers, a read-out to the next token."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewise.equations import Cell
from gatewise.layers import Init, Recurrent
from gatewise.layers.options import RegularisationOptions, Scheme
from gatewise.layers.validation import State


class LanguageModel(nn.Module):
    """Scores of the next token after every token of a sequence.

    The embedding of token t is x_t; the recurrent layers turn it into h_t; the read-out is y_t = W_hy h_t + b_y, whose
    softmax is the distribution of token t + 1. Dropout acts on the connections that are not recurrent (Zaremba et al.
    2014, arXiv:1409.2329): after the embedding, between layers, before the read-out.

    Args:
        vocabulary_size: the number of tokens V.
        embedding_size: the width I of the embedding.
        hidden_size: the width H of the recurrent layers.
        cell: a built-in cell's name, or a `Cell`.
        num_layers: the number of recurrent layers L.
        dropout: the probability of dropping a unit.
        init: an initialiser of `Recurrent`.
        regularisation: options of `Recurrent` that regularise the recurrence, such as ``{"variational": 0.3}``.
        tie: use the embedding matrix as W_hy too (Press & Wolf 2017, arXiv:1608.05859); needs I = H.

    Raises:
        ValueError: when `tie` is asked for with different widths.

    >>> model = LanguageModel(vocabulary_size=10, embedding_size=4, hidden_size=8)
    >>> logits, state = model(torch.zeros(5, 2, dtype=torch.int64))
    >>> logits.shape
    torch.Size([5, 2, 10])
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        *,
        cell: Cell | str = "lstm",
        num_layers: int = 1,
        dropout: float = 0.0,
        init: Scheme | Init = "default",
        regularisation: RegularisationOptions | None = None,
        tie: bool = False,
    ) -> None:
        super().__init__()
        if tie and embedding_size != hidden_size:
            raise ValueError(
                f"tied weights need an embedding as wide as the hidden state, got embedding {embedding_size} and "
                f"hidden {hidden_size}; make them equal or do not tie"
            )
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Recurrent(
            cell,
            embedding_size,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            init=init,
            **(regularisation or {}),
        )
        self.W_hy = None if tie else nn.Parameter(torch.empty(vocabulary_size, hidden_size))
        self.b_y = nn.Parameter(torch.zeros(vocabulary_size))
        # As torch.nn.Linear initialises; a tied matrix too, since N(0, 1) would saturate the softmax.
        bound = hidden_size**-0.5
        nn.init.uniform_(self.embedding.weight if self.W_hy is None else self.W_hy, -bound, bound)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Scores after each token of a sequence.

        Args:
            tokens: (T, B) int64.
            state: the state before the first token, zero by default.

        Returns:
            the scores (T, B, V) of each next token before the softmax, and the state after the last token.
        """
        output, after = self.recurrent(self.dropout(self.embedding(tokens)), state)
        return self._read_out(output), after

    def step(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Scores (B, V) after one more token of each stream, (B,) int64, and the new state."""
        output, after = self.recurrent.step(self.dropout(self.embedding(tokens)), state)
        return self._read_out(output), after

    def _read_out(self, hidden: Tensor) -> Tensor:
        W_hy = self.embedding.weight if self.W_hy is None else self.W_hy
        return functional.linear(self.dropout(hidden), W_hy, self.b_y)


def detach(state: State) -> State:
    """The same state without its history: where truncated BPTT stops."""
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)
