"""Examples that are held out, drawn at random."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import torch

Example = TypeVar("Example")


def split_at_random(
    examples: Sequence[Example],
    held_out: float,
    seed: int = 0,
    classes_of: Callable[[Example], Collection[str]] | None = None,
) -> tuple[list[Example], list[Example]]:
    """The examples to learn from and those held out, each in their order; the same for the same seed.

    Args:
        examples: all of them.
        held_out: the share to hold out.
        seed: of the draw.
        classes_of: the classes of an example, each once; some example of every class is left to learn from.

    Raises:
        ValueError: when one of the parts would be empty.

    >>> split_at_random("abcdefgh", 0.25)
    (['b', 'c', 'd', 'f', 'g', 'h'], ['a', 'e'])
    >>> split_at_random("abbbbbbb", 0.25, classes_of=set)
    (['a', 'b', 'b', 'b', 'b', 'b'], ['b', 'b'])
    """
    count = round(len(examples) * held_out)
    if not 0 < count < len(examples):
        raise ValueError(
            f"held_out: {held_out:g} of {len(examples)} examples is {count}; nothing is left to "
            f"{'learn from' if count else 'score'}; bring more data, or name files with valid"
        )
    classes = [() if classes_of is None else classes_of(example) for example in examples]
    left = Counter(one for of_example in classes for one in of_example)
    chosen: set[int] = set()
    for place in torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist():
        if len(chosen) < count and all(left[one] > 1 for one in classes[place]):
            chosen.add(place)
            left.subtract(classes[place])
    if not chosen:
        raise ValueError(
            "held_out: every example has a class that occurs once, and is needed to learn from; bring more data, or "
            "name files with valid"
        )
    parts: tuple[list[Example], list[Example]] = [], []
    for place, example in enumerate(examples):
        parts[place in chosen].append(example)
    return parts
