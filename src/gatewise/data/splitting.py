"""Examples that are held out, drawn at random."""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.progress import say

Example = TypeVar("Example")

_PART = 1 << 16


class DefaultShare(NamedTuple):
    """The share of data that is held out where none is given: so much of it, but no more than some number.

    Attributes:
        share: the share of little data.
        most: the largest number held out.
        unit: what is counted, in the plural.
    """

    share: float
    most: int
    unit: str

    def of(self, total: int) -> float:
        """The share of `total` examples; with a notice where the largest number decides.

        >>> DefaultShare(0.1, 1000, "rows").of(500)
        0.1
        """
        if total * self.share <= self.most:
            return self.share
        say(
            f"held out: {self.most:,} of {total:,} {self.unit}, as {100 * self.share:g} % would be more than "
            "scores need; --held-out names another share"
        )
        return self.most / total


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
    chosen = drawn_at_random(examples, len(examples), held_out, seed, classes_of)
    parts: tuple[list[Example], list[Example]] = [], []
    for example, is_held_out in zip(examples, chosen.tolist(), strict=True):
        parts[is_held_out].append(example)
    return parts


def drawn_at_random(
    examples: Iterable[Example],
    total: int,
    held_out: float,
    seed: int = 0,
    classes_of: Callable[[Example], Collection[str]] | None = None,
) -> NDArray[np.bool_]:
    """Which of `total` examples are held out, (N,): see `split_at_random`.

    Raises:
        ValueError: when one of the parts would be empty.
    """
    count = round(total * held_out)
    if not 0 < count < total:
        raise ValueError(
            f"held_out: {held_out:g} of {total} examples is {count}; nothing is left to "
            f"{'learn from' if count else 'score'}; bring more data, or name files with valid"
        )
    classes = _Classes() if classes_of is None else _Classes(map(classes_of, examples))
    chosen = np.zeros(total, np.bool_)
    missing = count
    for index in _permuted(total, seed):
        if classes.try_remove(index):
            chosen[index] = True
            missing -= 1
            if not missing:
                break
    if missing == count:
        raise ValueError(
            "held_out: every example has a class that occurs once, and is needed to learn from; bring more data, or "
            "name files with valid"
        )
    return chosen


def _permuted(count: int, seed: int) -> Iterator[int]:
    """The numbers below `count` in random order."""
    for part in torch.randperm(count, generator=torch.Generator().manual_seed(seed)).split(_PART):
        yield from part.tolist()


class _Classes:
    """The classes of examples, a few bytes for each."""

    def __init__(self, examples: Iterable[Collection[str]] = ()) -> None:
        numbers: dict[str, int] = {}
        self._numbers, self._ends = array("i"), array("q")
        for classes in examples:
            self._numbers.extend(numbers.setdefault(name, len(numbers)) for name in classes)
            self._ends.append(len(self._numbers))
        self._left = Counter(self._numbers)

    def try_remove(self, index: int) -> bool:
        """Take an example away, if some other one is left of each of its classes."""
        if not self._ends:
            return True
        own = self._numbers[self._ends[index - 1] if index else 0 : self._ends[index]]
        if not all(self._left[number] > 1 for number in own):
            return False
        self._left.subtract(own)
        return True
