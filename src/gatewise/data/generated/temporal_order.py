"""Temporal order: classify a long sequence by the order of two or three of its symbols.

Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8), experiments 6a and 6b.
"""

import torch
from torch.nn.functional import one_hot

from gatewise.data.generated.sequences import Sequences, check_size, integers, ragged_lengths

SYMBOLS = "EBabcdXY"
_FRACTIONS = {2: ((0.1, 0.2), (0.5, 0.6)), 3: ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))}


def temporal_order(count: int, length: int, *, symbols: int = 2, generator: torch.Generator) -> Sequences:
    """Draw sequences of symbols, whose class is which of X and Y came first, second (and third).

    A sequence begins with E, ends with B, and has a length uniform from T to 1.1 T. At two positions, uniform from 10
    to 20 and from 50 to 60 of 100 steps (three: 10–20, 33–43, 66–76; in proportion for other T), there is an X or a Y;
    all other symbols are noise from a, b, c, d.

    Args:
        count: sequences B.
        length: T, at least 10.
        symbols: 2 (experiment 6a, four classes) or 3 (6b, eight).
        generator: source of random numbers.

    Returns:
        inputs (1.1 T, B, 8): one-hot, in the order of `SYMBOLS`; targets (B,): the class, whose binary digits from the
        highest are the relevant symbols, Y being 1.

    Raises:
        ValueError, TypeError: for a count below 1, a length below 10, or other numbers of symbols.

    >>> drawn = temporal_order(4, 100, generator=torch.Generator().manual_seed(0))
    >>> drawn.inputs.shape[1:], int(drawn.targets.max()) < 4
    (torch.Size([4, 8]), True)
    """
    check_size("count", count, 1)
    check_size("length", length, 10)
    if symbols not in _FRACTIONS:
        raise ValueError(f"symbols: expected 2 or 3, got {symbols!r}")
    lengths = ragged_lengths(length, count, generator)
    steps = int(lengths.max())
    rows = torch.arange(count)
    noise, relevant = SYMBOLS.index("a"), SYMBOLS.index("X")
    codes = integers(noise, noise + 3, (steps, count), generator)
    codes[0] = SYMBOLS.index("E")
    codes[lengths - 1, rows] = SYMBOLS.index("B")
    bits = integers(0, 1, (symbols, count), generator)
    for bit, (low, high) in zip(bits, _FRACTIONS[symbols], strict=True):
        codes[integers(round(low * length), round(high * length), (count,), generator), rows] = relevant + bit
    inputs = one_hot(codes, len(SYMBOLS)).float()
    inputs *= (torch.arange(steps)[:, None] < lengths)[..., None]
    weights = 2 ** torch.arange(symbols - 1, -1, -1)
    return Sequences(inputs, (bits * weights[:, None]).sum(0), lengths)
