"""Checks of the parts of the data, whose errors name the part and the item."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def check_all(part: str, items: Iterable[Item], check: Callable[[Item], object], what: str = "sequence") -> None:
    """Check the items of a part of the data.

    Args:
        part: its name, such as ``held_out``.
        items: the items.
        check: raises a ValueError for one that is malformed.
        what: what an item is.

    Raises:
        ValueError: that of the check, with the part and the number of the item.

    >>> check_all("held_out", ["1", "x"], int)
    Traceback (most recent call last):
    ValueError: held out: sequence 2: invalid literal for int() with base 10: 'x'
    """
    for number, item in enumerate(items, 1):
        try:
            check(item)
        except ValueError as error:
            raise ValueError(f"{part.replace('_', ' ')}: {what} {number}: {error}") from None
