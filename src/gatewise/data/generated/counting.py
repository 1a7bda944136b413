"""Counting: strings aⁿbⁿ, whose end can be predicted only by counting the a.

The task is that of Gers & Schmidhuber 2001, IEEE Transactions on Neural Networks 12(6); how far networks count beyond
the n they were trained on is asked by Weiss, Goldberg & Yahav 2018, arXiv:1805.04908.
"""

from collections.abc import Sequence

import torch

from gatewise.data.generated.next_symbols import Step, next_symbols, next_symbols_right
from gatewise.data.generated.sequences import Sequences, check_size, integers

SYMBOLS = "SabT"


def counting(count: int, largest: int, *, generator: torch.Generator) -> Sequences:
    """Draw strings with n uniform from 1 to the largest.

    Args:
        count: sequences B.
        largest: the largest n.
        generator: source of random numbers.

    Returns:
        as `counting_of`.

    Raises:
        ValueError, TypeError: for a count or largest n below 1.

    >>> counting(3, 5, generator=torch.Generator().manual_seed(0)).inputs.shape[1:]
    torch.Size([3, 4])
    """
    check_size("count", count, 1)
    check_size("largest", largest, 1)
    return counting_of(integers(1, largest, (count,), generator).tolist())


def counting_of(ns: Sequence[int]) -> Sequences:
    """The strings of given n: S, n times a, n times b; after them comes T.

    Args:
        ns: n of each sequence.

    Returns:
        inputs (T, B, 4): one-hot in the order of `SYMBOLS`; targets (T, B, 4): 1 for each symbol that may follow: a
        after S, a or b after an a, b after a b, and T after the last b.

    Raises:
        ValueError, TypeError: for no n, or one below 1.

    >>> counting_of([2]).targets[:, 0].int().tolist()
    [[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    if not ns:
        raise ValueError("ns: expected at least one n, got none")
    for n in ns:
        check_size("ns", n, 1)
    return next_symbols([_steps(n) for n in ns], SYMBOLS)


def first_failing(ns: Sequence[int], answers: torch.Tensor) -> int | None:
    """The smallest n of which a string is not predicted right; None if all are.

    Args:
        ns: n of each sequence.
        answers: scores of the symbols for ``counting_of(ns)``, (T, B, 4). A string is right by `next_symbols_right`.

    >>> first_failing([1, 2], counting_of([1, 2]).targets)
    """
    right = next_symbols_right(answers, counting_of(ns)).tolist()
    return min((n for n, one in zip(ns, right, strict=True) if not one), default=None)


def _steps(n: int) -> list[Step]:
    return [("S", "a"), *[("a", "ab")] * n, *[("b", "b")] * (n - 1), ("b", "T")]
