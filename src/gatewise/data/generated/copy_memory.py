"""Copy memory: read ten symbols, wait, and write them.

Hochreiter & Schmidhuber 1997 in the form of Arjovsky, Shah & Bengio 2016, arXiv:1511.06464.
"""

import math

import torch
from torch.nn.functional import one_hot

from gatewise.data.generated.sequences import Sequences, check_size, integers

SYMBOLS = 8
BLANK, DELIMITER = SYMBOLS, SYMBOLS + 1


def copy_memory(count: int, gap: int, *, recall: int = 10, generator: torch.Generator) -> Sequences:
    """Draw sequences: ten symbols, T − 1 blanks, a delimiter, and ten blanks, during which the symbols are written.

    Args:
        count: sequences B.
        gap: T, the steps between the symbols and their recall, at least 1.
        recall: the number of symbols; 10 as published.
        generator: source of random numbers.

    Returns:
        inputs (T + 20, B, 10): one-hot; eight symbols, blank and delimiter; targets (T + 20, B): the symbol to write,
        blank except in the last ten steps (with ``recall`` symbols, T + 2 · recall steps and the last `recall`).

    Raises:
        ValueError, TypeError: for a count, gap or number of symbols below 1.

    >>> drawn = copy_memory(2, 5, generator=torch.Generator().manual_seed(0))
    >>> drawn.inputs.shape, bool((drawn.inputs[:10].argmax(-1) == drawn.targets[-10:]).all())
    (torch.Size([25, 2, 10]), True)
    """
    check_size("count", count, 1)
    check_size("gap", gap, 1)
    check_size("recall", recall, 1)
    symbols = integers(0, SYMBOLS - 1, (recall, count), generator)
    codes = torch.full((gap + 2 * recall, count), BLANK)
    targets = codes.clone()
    codes[:recall] = symbols
    codes[recall + gap - 1] = DELIMITER
    targets[-recall:] = symbols
    return Sequences(one_hot(codes, SYMBOLS + 2).float(), targets)


def memoryless_loss(gap: int, recall: int = 10) -> float:
    """The least mean cross-entropy of a network without memory, in nats per step: 10 ln 8 / (T + 20).

    Args:
        gap, recall: as `copy_memory`.

    >>> round(memoryless_loss(1000), 4)
    0.0204
    """
    return recall * math.log(SYMBOLS) / (gap + 2 * recall)
