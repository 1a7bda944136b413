"""Vectors of words from their characters."""

from torch import Tensor, nn

from gatewise.equations import Cell
from gatewise.models.encoder import Encoder, inside


class CharacterConvolution(nn.Module):
    """Filters over the characters of a word, and the maximum of each over the places (Ma & Hovy 2016, section 2.1).

    Args:
        alphabet_size: the number of characters.
        embedding_size: the width of a character's embedding.
        width: the number of filters.
        window: how many characters a filter sees.
    """

    def __init__(self, alphabet_size: int, embedding_size: int, width: int, window: int = 3) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(alphabet_size, embedding_size)
        self.filters = nn.Conv1d(embedding_size, width, window, padding=window // 2)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """The vectors (U, `width`) of words spelled by characters (C, U), of lengths (U,)."""
        valid = inside(len(characters), lengths.clamp(min=1)).T[:, None]
        x = self.embedding(characters).permute(1, 2, 0) * valid
        return self.filters(x).masked_fill(~valid, float("-inf")).amax(2)


class CharacterRecurrent(nn.Module):
    """The last states of recurrent layers that read the characters from both ends (Lample et al. 2016, section 4.1).

    Args:
        alphabet_size: the number of characters.
        embedding_size: the width of a character's embedding.
        width: the width of both states together, even.
        cell: a built-in cell's name, or a `Cell`.
    """

    def __init__(self, alphabet_size: int, embedding_size: int, width: int, cell: Cell | str = "lstm") -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(alphabet_size, embedding_size)
        self.encoder = Encoder(cell, embedding_size, width // 2, bidirectional=True)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """The vectors (U, `width`) of words spelled by characters (C, U), of lengths (U,)."""
        return self.encoder(self.embedding(characters), lengths)[1]
