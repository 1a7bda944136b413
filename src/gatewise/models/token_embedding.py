"""Token embeddings, optionally with character-level representations and further features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent


class TokenEmbedding(nn.Module):
    """The embedding of each token, concatenated with the vector of its spelling if there is one.

    In training, rare tokens are replaced at random by the unknown token, whose vector is learned in this way: one that
    occurs n times with probability α / (α + n) (Kiperwasser & Goldberg 2016, arXiv:1603.04351). With α = 1, half of
    the tokens that occur once are replaced, as in Lample et al. 2016 (arXiv:1603.01360, section 4.3).

    Args:
        vocabulary_size: the number of tokens V.
        size: the width of a token's embedding.
        unknown: the number of the unknown token.
        counts: (V,), how often each token occurs in the training data; None to replace none.
        unknown_weight: α.
        spelling: the character-level encoder of words.

    >>> embedding = TokenEmbedding(10, 4)
    >>> embedding(torch.zeros(5, 2, dtype=torch.int64)).shape
    torch.Size([5, 2, 4])
    """

    unknown_rates: Tensor | None

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        *,
        unknown: int = 0,
        counts: Sequence[int] | None = None,
        unknown_weight: float = 0.0,
        spelling: CharacterConvolution | CharacterRecurrent | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, size)
        # As Ma & Hovy 2016 (arXiv:1603.01354, section 3.1).
        nn.init.uniform_(self.embedding.weight, -((3 / size) ** 0.5), (3 / size) ** 0.5)
        self.spelling = spelling
        self.width = size + (spelling.width if spelling is not None else 0)
        self._unknown = unknown
        if counts is None or unknown_weight == 0:
            self.unknown_rates = None
        else:
            # Not in torch: arithmetic on the device "meta", on which a model is planned, loads torch's compiler.
            rates = [unknown_weight / (unknown_weight + count) for count in counts]
            self.register_buffer("unknown_rates", torch.tensor(rates, dtype=torch.float32), persistent=False)

    def forward(
        self,
        tokens: Tensor,
        characters: Tensor | None = None,
        lengths: Tensor | None = None,
        word_index: Tensor | None = None,
    ) -> Tensor:
        """The vectors of tokens.

        Args:
            tokens: (T, B) int64.
            characters: (C, U) int64, the spellings of U distinct words.
            lengths: (U,) int64, the number of characters of each.
            word_index: (T, B) int64, the index of each token's spelling.

        Returns:
            (T, B, `width`).
        """
        if self.training and self.unknown_rates is not None:
            hidden = torch.rand(tokens.shape, device=tokens.device) < self.unknown_rates[tokens]
            tokens = tokens.masked_fill(hidden, self._unknown)
        whole = self.embedding(tokens)
        if self.spelling is None:
            return whole
        assert characters is not None
        assert lengths is not None
        assert word_index is not None
        return torch.cat((whole, self.spelling(characters, lengths)[word_index]), -1)


class FeaturedEmbedding(nn.Module):
    """The vectors of tokens, concatenated with the embedding of each of F features of a token.

    Args:
        tokens: the embedding of tokens.
        features: the embedding of each feature.

    Attributes:
        value_counts: the number of values of each feature.

    >>> embedding = FeaturedEmbedding(TokenEmbedding(10, 4), [TokenEmbedding(3, 2), TokenEmbedding(5, 2)])
    >>> embedding(torch.zeros(5, 2, dtype=torch.int64), torch.zeros(5, 2, 2, dtype=torch.int64)).shape
    torch.Size([5, 2, 8])
    """

    def __init__(self, tokens: TokenEmbedding, features: Sequence[TokenEmbedding]) -> None:
        super().__init__()
        self.tokens = tokens
        self.features = nn.ModuleList(features)
        self.value_counts = [one.embedding.num_embeddings for one in features]
        self.width = tokens.width + sum(one.width for one in features)

    def forward(self, tokens: Tensor, features: Tensor, *spelled: Tensor) -> Tensor:
        """The vectors of tokens.

        Args:
            tokens: (T, B) int64.
            features: (T, B, F) int64.
            *spelled: their spellings, see `TokenEmbedding.forward`.

        Returns:
            (T, B, `width`).
        """
        beside = [one(of_feature) for one, of_feature in zip(self.features, features.unbind(-1), strict=True)]
        return torch.cat((self.tokens(tokens, *spelled), *beside), -1)
