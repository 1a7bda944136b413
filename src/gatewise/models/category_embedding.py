"""Categorical columns of a step as vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatewise.models.token_embedding import TokenEmbedding


class CategoryEmbedding(nn.Module):
    """Numbers of each step, and beside them the embedding of each of its C categories.

    In training, a value that occurs n times is read as unknown with probability 1 / (1 + n), which trains the vector of
    values that are not in the training data; see `TokenEmbedding`.

    Args:
        number_count: the numbers of a step I.
        counts: of each category how often each of its values occurs in the training data, the unknown one first.
        size: the width of each embedding.

    >>> embedding = CategoryEmbedding(3, [[0, 5, 2], [0, 1]], 4)
    >>> embedding(torch.randn(7, 2, 3), torch.zeros(7, 2, 2, dtype=torch.int64)).shape
    torch.Size([7, 2, 11])
    """

    def __init__(self, number_count: int, counts: Sequence[Sequence[int]], size: int) -> None:
        super().__init__()
        self.categories = nn.ModuleList(
            [TokenEmbedding(len(of_values), size, counts=of_values, unknown_weight=1.0) for of_values in counts]
        )
        self.width = number_count + size * len(counts)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """The vectors of steps (…, `width`).

        Args:
            numbers: (…, I).
            categories: (…, C) int64.
        """
        embedded = [one(of_category) for one, of_category in zip(self.categories, categories.unbind(-1), strict=True)]
        return torch.cat((numbers, *embedded), -1)
