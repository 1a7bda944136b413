"""Sequences whose items are made when they are read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

Item = TypeVar("Item")
Made = TypeVar("Made")


class Mapped(Sequence[Made], Generic[Item, Made]):
    """A lazy map: the function is applied whenever an item is read, so that results take no memory.

    Args:
        items: the items.
        make: the function.

    >>> lengths = Mapped(["a", "bcd"], len)
    >>> list(lengths), lengths[1], lengths[:1]
    ([1, 3], 3, [1])
    """

    def __init__(self, items: Sequence[Item], make: Callable[[Item], Made]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Made]:
        return map(self._make, self._items)

    @overload
    def __getitem__(self, index: int) -> Made: ...
    @overload
    def __getitem__(self, index: slice) -> list[Made]: ...
    def __getitem__(self, index: int | slice) -> Made | list[Made]:
        if isinstance(index, slice):
            return [self._make(item) for item in self._items[index]]
        return self._make(self._items[index])
