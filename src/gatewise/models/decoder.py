"""The decoder: recurrent layers that generate a sequence with attention to an encoded source."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewise.equations import Cell
from gatewise.layers import Init, Recurrent
from gatewise.layers.options import RegularisationOptions, Scheme
from gatewise.layers.validation import State
from gatewise.models.attention import Attention, Memory, Score
from gatewise.models.dropout import SequenceDropout

AttentionKind = Literal["luong-general", "luong-dot", "bahdanau", "none"]

_SCORES: dict[str, Score] = {"luong-general": "general", "luong-dot": "dot", "bahdanau": "additive"}


class Start(NamedTuple):
    """The initial inputs of a decoder.

    Attributes:
        memory: the encoded source; None without attention.
        state: its initial state, (L, B, H) each.
    """

    memory: Memory | None
    state: State


def state_tensors(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state, one or several."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def as_state(parts: Iterable[Tensor]) -> State:
    """The state that has these tensors."""
    first, *others = parts
    return (first, *others) if others else first


class Decoder(nn.Module):
    """Recurrent layers over the tokens generated so far, attention, and a read-out to the next token.

    - luong (Luong et al. 2015, arXiv:1508.04025, section 3): the layers run first, the query is their output h_t. With
      teacher forcing all steps run as one sequence, and attention is one product for all of them. The context is not
      fed back to the next step (their "input feeding").
    - bahdanau (Bahdanau et al. 2015, arXiv:1409.0473, appendix A): the query is the last layer's state s_{t-1}, and
      the context c_t is concatenated to the embedding of the token, so that steps run one after the other.

    In both, the logits of the next token are y_t = W_hy h̃_t + b_y with h̃_t = tanh(W_c [c_t, h_t]). Without attention,
    h̃_t = tanh(W_c h_t). The initial state is tanh(W_s e + b_s), where e is the encoder's last hidden state: for every
    layer and every state of the cell, whatever cell the encoder has.

    Args:
        embedding: of the tokens, (V, E).
        cell: a built-in cell's name, or a `Cell`.
        hidden_size: H.
        num_layers: L.
        memory_size: W, the width of the encoder's outputs.
        final_size: the width of the encoder's last hidden state.
        attention: one of "luong-general", "luong-dot", "bahdanau", "none".
        dropout: the probability of dropping a unit of the embedding, between layers, and before the read-out.
        init: an initialiser of `Recurrent`.
        regularisation: options of `Recurrent` that regularise the recurrence, such as ``{"variational": 0.3}``.
        tie: use the embedding matrix as W_hy too (Press & Wolf 2017, arXiv:1608.05859).

    Raises:
        ValueError: for luong-dot with different widths.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        cell: Cell | str,
        hidden_size: int,
        num_layers: int,
        *,
        memory_size: int,
        final_size: int,
        attention: AttentionKind = "luong-general",
        dropout: float = 0.0,
        init: Scheme | Init = "default",
        regularisation: RegularisationOptions | None = None,
        tie: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        size, width = embedding.num_embeddings, embedding.embedding_dim
        self.feeds_context = attention == "bahdanau"
        self.recurrent = Recurrent(
            cell,
            width + (memory_size if self.feeds_context else 0),
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            init=init,
            **(regularisation or {}),
        )
        self.attention = None if attention == "none" else Attention(_SCORES[attention], hidden_size, memory_size)
        self.start = nn.Linear(final_size, len(self.recurrent.cell.states) * num_layers * hidden_size)
        self.combine = nn.Linear(hidden_size + (memory_size if self.attention is not None else 0), width)
        self.W_hy = None if tie else nn.Parameter(torch.empty(size, width).uniform_(-(width**-0.5), width**-0.5))
        self.b_y = nn.Parameter(torch.zeros(size))
        self.dropout = SequenceDropout(dropout)

    @property
    def weight(self) -> Tensor:
        """W_hy, (V, E)."""
        return self.embedding.weight if self.W_hy is None else self.W_hy

    def begin(self, output: Tensor, final: Tensor, lengths: Tensor) -> Start:
        """Initialise the state from the encoder's output.

        Args:
            output: (S, B, W), 0 in the padding.
            final: its last hidden state, (B, final_size).
            lengths: (B,) int64, each at least 1.
        """
        layers, hidden = self.recurrent.num_layers, self.recurrent.hidden_size
        parts = self.start(final).tanh().unflatten(1, (-1, layers, hidden)).permute(1, 2, 0, 3)
        state = tuple(part.contiguous() for part in parts)
        memory = None if self.attention is None else self.attention.memory(output, lengths)
        return Start(memory, as_state(state))

    def forward(self, tokens: Tensor, lengths: Tensor, start: Start) -> tuple[Tensor, Tensor | None]:
        """Run over known tokens (teacher forcing).

        Args:
            tokens: (T, B) int64, shifted right: the token before each one to predict.
            lengths: (B,) int64; values beyond them are ignored.
            start: the result of `begin`.

        Returns:
            h̃ (T, B, E), and the weights of attention (T, B, S) or None.
        """
        x = self.dropout(self.embedding(tokens))
        if not self.feeds_context:
            output, _ = self.recurrent(x, start.state, lengths=lengths)
            features, weights = self._combined(output, start.memory)
            return self.dropout(features), weights
        state, steps = start.state, list[tuple[Tensor, Tensor]]()
        for x_t in x:
            found, seen, state = self._context_step(x_t[None], start.memory, state)
            steps.append((found, seen))
        found, weights = (torch.cat(parts) for parts in zip(*steps, strict=True))
        return self.dropout(self.combine(found).tanh()), weights

    def step(self, tokens: Tensor, memory: Memory | None, state: State) -> tuple[Tensor, State]:
        """One more token of several hypotheses for each row.

        Args:
            tokens: (K, B) int64.
            memory: the encoded sources of the B rows.
            state: after the tokens before, (L, K·B, H) each, all rows of a hypothesis contiguous.

        Returns:
            the scores (K, B, V) of the next token before the softmax, and the state after.
        """
        x = self.dropout(self.embedding(tokens))
        if self.feeds_context:
            found, _, state = self._context_step(x, memory, state)
            feature = self.combine(found).tanh()
        else:
            output, state = self.recurrent.step(x.flatten(0, 1), state)
            feature, _ = self._combined(output.unflatten(0, tokens.shape), memory)
        return functional.linear(self.dropout(feature), self.weight, self.b_y), state

    def _context_step(self, x: Tensor, memory: Memory | None, state: State) -> tuple[Tensor, Tensor, State]:
        """One step with the context as input: [c_t, h_t] for x (K, B, E), weights (K, B, S), the state after."""
        assert self.attention is not None
        assert memory is not None
        rows = x.shape[:2]
        context, weights = self.attention(state_tensors(state)[0][-1].unflatten(0, rows), memory)
        output, after = self.recurrent.step(torch.cat((x, context), -1).flatten(0, 1), state)
        return torch.cat((context, output.unflatten(0, rows)), -1), weights, after

    def _combined(self, output: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor | None]:
        """h̃ of outputs, and the weights of attention."""
        if self.attention is None or memory is None:
            return self.combine(output).tanh(), None
        context, weights = self.attention(output, memory)
        return self.combine(torch.cat((context, output), -1)).tanh(), weights
