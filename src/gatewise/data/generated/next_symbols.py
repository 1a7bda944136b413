"""Predicting which symbols may follow: one-hot inputs, multi-hot targets of all legal symbols, the criterion."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gatewise.data.generated.sequences import Sequences

Step = tuple[str, str]
"""A symbol that is read, and the symbols that may follow it."""


def next_symbols(rows: Sequence[Sequence[Step]], symbols: str) -> Sequences:
    """Encode what is read and what may follow.

    Args:
        rows: the steps of each sequence.
        symbols: the alphabet, whose order is that of the components.

    Returns:
        inputs (T, B, S): one-hot; targets (T, B, S): 1 for each symbol that may follow; both 0 in padding.

    >>> next_symbols([[("a", "ab"), ("b", "b")], [("b", "a")]], "ab").targets[:, 0]
    tensor([[1., 1.],
            [0., 1.]])
    """
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.zeros(int(lengths.max()), len(rows), len(symbols))
    targets = torch.zeros_like(inputs)
    for at, row in enumerate(rows):
        codes = torch.tensor([symbols.index(symbol) for symbol, _ in row])
        inputs[: len(row), at] = one_hot(codes, len(symbols)).float()
        targets[: len(row), at] = torch.tensor([[float(one in legal) for one in symbols] for _, legal in row])
    return Sequences(inputs, targets, lengths)


def next_symbols_right(answers: Tensor, sequences: Sequences) -> Tensor:
    """Which sequences are right: at every step, each legal symbol scores above every illegal one.

    Args:
        answers: scores of the symbols, (T, B, S); logits or probabilities.
        sequences: the sequences.

    Returns:
        (B,) bool.

    >>> drawn = next_symbols([[("a", "b")], [("b", "b")]], "ab")
    >>> next_symbols_right(torch.tensor([[[0.1, 0.9], [0.8, 0.2]]]), drawn)
    tensor([ True, False])
    """
    legal = sequences.targets > 0
    lowest = answers.masked_fill(~legal, torch.inf).amin(-1)
    highest = answers.masked_fill(legal, -torch.inf).amax(-1)
    return ((lowest > highest) | ~sequences.mask).all(0)
