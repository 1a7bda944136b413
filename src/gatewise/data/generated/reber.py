"""Reber grammars: predict which symbols may follow, at the end of an embedded string by one read near its beginning.

The embedded grammar is that of Hochreiter & Schmidhuber 1997, Neural Computation 9(8), experiment 1; the continual one
that of Gers, Schmidhuber & Cummins 2000, Learning to forget, Neural Computation 12(10).
"""

from collections.abc import Iterator, Mapping
from itertools import islice

import torch

from gatewise.data.generated.next_symbols import Step, next_symbols
from gatewise.data.generated.sequences import Sequences, check_size, integers

SYMBOLS = "BTPSXVE"
Grammar = tuple[Mapping[str, int], ...]
"""For each state, the state after each symbol that may follow; the state after the last one ends the string."""
REBER: Grammar = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)


def _embedded() -> Grammar:
    """B, then T or P, a Reber string, the same of T and P, and E."""

    def inner(first: int, symbol: str, after: int) -> Grammar:
        moved = tuple({key: first + state for key, state in follows.items()} for follows in REBER)
        return (*moved, {symbol: after})

    size = len(REBER) + 1
    last = 2 + 2 * size
    return ({"B": 1}, {"T": 2, "P": 2 + size}, *inner(2, "T", last), *inner(2 + size, "P", last), {"E": last + 1})


EMBEDDED_REBER = _embedded()


def reber(count: int, *, embedded: bool = True, generator: torch.Generator) -> Sequences:
    """Draw strings: each symbol that may follow is as likely as the other.

    Args:
        count: sequences B.
        embedded: whether the strings are of the embedded grammar.
        generator: source of random numbers.

    Returns:
        inputs (T, B, 7): one-hot in the order of `SYMBOLS`, without the final E, after which nothing follows; targets
        (T, B, 7): 1 for each symbol that may follow. `next_symbols_right` is the criterion.

    Raises:
        ValueError, TypeError: for a count below 1.

    >>> drawn = reber(3, generator=torch.Generator().manual_seed(0))
    >>> drawn.inputs.shape[1:], drawn.targets[0, 0]
    (torch.Size([3, 7]), tensor([0., 1., 1., 0., 0., 0., 0.]))
    """
    check_size("count", count, 1)
    grammar = EMBEDDED_REBER if embedded else REBER
    coins = _coins(generator)
    return next_symbols([list(_string(grammar, coins))[:-1] for _ in range(count)], SYMBOLS)


def reber_strings(count: int, *, embedded: bool = True, generator: torch.Generator) -> list[str]:
    """Draw strings as text; the same that `reber` draws from the same random numbers.

    Args:
        count, embedded, generator: as `reber`.

    >>> reber_strings(2, embedded=False, generator=torch.Generator().manual_seed(0))[0][0]
    'B'
    """
    check_size("count", count, 1)
    grammar = EMBEDDED_REBER if embedded else REBER
    coins = _coins(generator)
    return ["".join(symbol for symbol, _ in _string(grammar, coins)) for _ in range(count)]


def continual_reber(count: int, length: int, *, generator: torch.Generator) -> Sequences:
    """Draw streams of embedded strings, one after the other without a mark between them.

    Args:
        count: streams B.
        length: steps T of each; the last string is cut there.
        generator: source of random numbers.

    Returns:
        inputs, targets (T, B, 7): as `reber`; after the E that ends a string, B follows.

    Raises:
        ValueError, TypeError: for a count or length below 1.

    >>> continual_reber(2, 100, generator=torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([100, 2, 7])
    """
    check_size("count", count, 1)
    check_size("length", length, 1)
    coins = _coins(generator)
    rows = [list(islice(_stream(coins), length)) for _ in range(count)]
    drawn = next_symbols(rows, SYMBOLS)
    return Sequences(drawn.inputs, drawn.targets)


def _coins(generator: torch.Generator) -> Iterator[int]:
    """Fair draws of 0 or 1, many at a time: no state of a grammar has more than two symbols that may follow."""
    while True:
        yield from integers(0, 1, (256,), generator).tolist()


def _string(grammar: Grammar, coins: Iterator[int]) -> Iterator[Step]:
    """The symbols of a string; nothing follows the last."""
    state = 0
    while state < len(grammar):
        choices = list(grammar[state])
        symbol = choices[next(coins)] if len(choices) > 1 else choices[0]
        state = grammar[state][symbol]
        yield symbol, "".join(grammar[state]) if state < len(grammar) else ""


def _stream(coins: Iterator[int]) -> Iterator[Step]:
    while True:
        for symbol, legal in _string(EMBEDDED_REBER, coins):
            yield symbol, legal or "B"
