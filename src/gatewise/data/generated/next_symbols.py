"""Predicting which symbols may follow: one-hot inputs, multi-hot targets of all legal symbols, the criterion."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
    numbers = {step: number for number, step in enumerate({step for row in rows for step in row}, start=1)}
    padding = ("", "")
    read = torch.tensor([[float(one == symbol) for one in symbols] for symbol, _ in (padding, *numbers)])
    legal = torch.tensor([[float(one in follows) for one in symbols] for _, follows in (padding, *numbers)])
    steps = pad_sequence([torch.tensor([numbers[step] for step in row]) for row in rows])
    return Sequences(read[steps], legal[steps], lengths)


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
