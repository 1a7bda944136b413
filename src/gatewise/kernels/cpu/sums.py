"""Sums of vectors by the engine: biases, and gradients that several threads have a share of."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.taping import Words, current


class Sum(NamedTuple):
    """Where numbers stand that are added up, in this order; 0 of none.

    Attributes:
        to: where the sum goes; may be the first of ``parts``.
        length: how many numbers there are in each.
        parts: what is added.
    """

    to: int
    length: int
    parts: Sequence[int]


def add_up(dtype: torch.dtype, sums: Sequence[Sum], held: object) -> None:
    """Make some sums; ``held`` is what they point to."""
    if not sums:
        return
    nested = [array("q", one.parts) for one in sums]
    words = array("q")
    for one, parts in zip(sums, nested, strict=True):
        words.extend((one.to, one.length, len(parts), parts.buffer_info()[0]))
    engine(dtype).add_up(dtype, words, len(sums))
    if (writing := current()) is not None:
        writing.add_up(Words(words, 4, (0, 3)), len(sums), [Words.of_pointers(one) for one in nested], held)
