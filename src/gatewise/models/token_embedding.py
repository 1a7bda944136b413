"""Vectors of tokens: embedded whole, and spelled."""

import torch
from torch import Tensor, nn

from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent


class TokenEmbedding(nn.Module):
    """The embedding of each token, beside the vector of its spelling if it has one.

    In training a token is now and then read as the unknown one, whose vector is learned so (Lample et al. 2016, section
    4.3).

    Args:
        vocabulary_size: the number of tokens V.
        size: the width of a token's embedding.
        unknown: the number of the unknown token; None where there is none.
        unknown_rate: how often a token is read as unknown in training.
        spelling: makes vectors of spellings.

    >>> embedding = TokenEmbedding(10, 4)
    >>> embedding(torch.zeros(5, 2, dtype=torch.int64)).shape
    torch.Size([5, 2, 4])
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        *,
        unknown: int | None = 0,
        unknown_rate: float = 0.0,
        spelling: CharacterConvolution | CharacterRecurrent | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, size)
        # As Ma & Hovy 2016 (arXiv:1603.01354, section 3.1).
        nn.init.uniform_(self.embedding.weight, -((3 / size) ** 0.5), (3 / size) ** 0.5)
        self.spelling = spelling
        self.width = size + (spelling.width if spelling is not None else 0)
        self._unknown = unknown
        self._unknown_rate = 0.0 if unknown is None else unknown_rate

    def forward(
        self,
        tokens: Tensor,
        characters: Tensor | None = None,
        lengths: Tensor | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The vectors of tokens.

        Args:
            tokens: (T, B) int64.
            characters: (C, U) int64, the spellings of U distinct words.
            lengths: (U,) int64, how many characters each has.
            place: (T, B) int64, which of them stands where.

        Returns:
            (T, B, `width`).
        """
        if self.training and self._unknown_rate > 0:
            assert self._unknown is not None
            hidden = torch.rand(tokens.shape, device=tokens.device) < self._unknown_rate
            tokens = tokens.masked_fill(hidden, self._unknown)
        whole = self.embedding(tokens)
        if self.spelling is None:
            return whole
        assert characters is not None
        assert lengths is not None
        assert place is not None
        return torch.cat((whole, self.spelling(characters, lengths)[place]), -1)
