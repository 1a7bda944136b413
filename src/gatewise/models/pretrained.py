"""Initialising an embedding with pretrained vectors."""

import numpy as np
import torch
from torch import Tensor, nn


@torch.no_grad()
def initialise_embedding(
    embedding: nn.Embedding, matrix: np.ndarray | Tensor, found: np.ndarray | Tensor, *, frozen: bool = False
) -> None:
    """Initialise an embedding with given vectors, and its other rows at random with the same variance.

    The rows without a vector are drawn uniformly in ±√3·s, where s is the standard deviation of all numbers of the
    given rows, so that both have the same variance (Kim 2014, arXiv:1408.5882, section 4.3). They are drawn by torch's
    generator. A row for padding stays zero.

    Args:
        embedding: of V words and width E; written in place, in its own dtype and on its own device.
        matrix: (V, E), the given vectors; rows that were not found are not read.
        found: (V,) bool, which rows are given.
        frozen: train none of the rows, given or drawn (Kim's "static"); otherwise all are fine-tuned.

    Raises:
        ValueError: when the shapes do not match, or no row is given.

    >>> embedding = nn.Embedding(3, 2)
    >>> matrix = torch.tensor([[0.5, 1.0], [0.0, 0.0], [2.0, -1.0]])
    >>> initialise_embedding(embedding, matrix, torch.tensor([True, False, True]), frozen=True)
    >>> embedding.weight[2].tolist(), embedding.weight.requires_grad
    ([2.0, -1.0], False)
    """
    weight = embedding.weight
    given, mask = torch.as_tensor(matrix), torch.as_tensor(found)
    if given.shape != weight.shape:
        raise ValueError(
            f"matrix: expected the shape of the embedding (V, E) = {tuple(weight.shape)}, got {tuple(given.shape)}"
        )
    if mask.dtype != torch.bool or mask.shape != weight.shape[:1]:
        raise ValueError(
            f"found: expected {len(weight)} of dtype bool, got {tuple(mask.shape)} of {mask.dtype}; "
            "one for each row of the embedding"
        )
    if not mask.any():
        raise ValueError(
            "found: not one word has a vector; expected vectors for the language and the spelling of the vocabulary"
        )
    rows = given[mask].to(torch.float64)
    bound = 3**0.5 * float(rows.std(correction=0))
    nn.init.uniform_(weight, -bound, bound)
    weight[mask.to(weight.device)] = rows.to(weight)
    if embedding.padding_idx is not None:
        weight[embedding.padding_idx] = 0
    weight.requires_grad_(not frozen)
