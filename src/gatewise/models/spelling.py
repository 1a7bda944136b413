"""Character-level word representations."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewise.equations import Cell
from gatewise.models.encoder import Encoder, length_mask


class CharacterConvolution(nn.Module):
    """Filters over the characters of a word, and the maximum of each over positions (Ma & Hovy 2016, section 2.1).

    Args:
        alphabet_size: the number of characters.
        embedding_size: the width of a character's embedding.
        width: the number of filters.
        window: the width of a filter in characters.
    """

    def __init__(self, alphabet_size: int, embedding_size: int, width: int, window: int = 3) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(alphabet_size, embedding_size)
        self.window = window
        # A convolution as one product: words have another number of characters in every batch, and oneDNN makes a new
        # program for every shape, which costs more than the convolution.
        self.filters = nn.Linear(window * embedding_size, width)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """The vectors (U, `width`) of words spelled by characters (C, U), of lengths (U,)."""
        steps, before, padding = characters.shape[0], self.window // 2, self.embedding.num_embeddings
        outside = ~length_mask(steps, lengths.clamp(min=1))
        around = (0, 0, before, self.window - 1 - before)
        numbers = functional.pad(characters.masked_fill(outside, padding), around, value=padding)
        # The last row, of zeros, is the padding around a word.
        x = functional.embedding(numbers, functional.pad(self.embedding.weight, (0, 0, 0, 1)))
        x = torch.cat([x[first : first + steps] for first in range(self.window)], -1)
        found = self.filters(x)
        with torch.no_grad():
            best = found.masked_fill(outside[..., None], float("-inf")).max(0, keepdim=True).indices
        return found.gather(0, best)[0]


class CharacterRecurrent(nn.Module):
    """The last states of recurrent layers over the characters in both directions (Lample et al. 2016, section 4.1).

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
