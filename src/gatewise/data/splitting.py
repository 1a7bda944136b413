"""Examples that are held out, drawn at random."""

from collections.abc import Sequence
from typing import TypeVar

import torch

Example = TypeVar("Example")


def split_at_random(examples: Sequence[Example], held_out: float, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """The examples to learn from and those held out, each in their order; the same for the same seed.

    Raises:
        ValueError: when one of the parts would be empty.

    >>> split_at_random("abcdefgh", 0.25)
    (['b', 'c', 'd', 'f', 'g', 'h'], ['a', 'e'])
    """
    count = round(len(examples) * held_out)
    if not 0 < count < len(examples):
        raise ValueError(
            f"held_out: {held_out:g} of {len(examples)} examples is {count}; nothing is left to "
            f"{'learn from' if count else 'score'}; bring more data, or name files with valid"
        )
    chosen = set(torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[:count].tolist())
    parts: tuple[list[Example], list[Example]] = [], []
    for place, example in enumerate(examples):
        parts[place in chosen].append(example)
    return parts
