"""The cells of tables as text, whatever type a file gives them."""

import json
import math
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal

from gatewise.data.text import check_characters


def cell_text(value: object, where: str, column: str, *, blank: bool = False, text: bool = False) -> str:
    """A cell as text.

    Args:
        value: what a file holds: JSON or Python values.
        where: its row, for people.
        column: the name of its column.
        blank: whether it may be missing; it is an empty text then.
        text: whether it must be text already.

    Raises:
        ValueError: for one that is missing, a list or an object, bytes, or no text where it must be.

    >>> cell_text(2.5, "line 1", "x"), cell_text(None, "line 1", "x", blank=True)
    ('2.5', '')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if blank:
            return ""
        raise ValueError(f"{where}: {column!r} is null; expected a value")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"{where}: {column!r} contains a NUL character (U+0000); remove it")
        return check_characters(value, f"{where}: {column!r}")
    if text or not isinstance(value, bool | int | float | Decimal | date | time | timedelta):
        expected = "text" if text else "text, a number or a date"
        raise ValueError(f"{where}: {column!r}: expected {expected}, got {shortened(value)}")
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def cell_number(value: object) -> float | None:
    """A cell that a file holds as a number, NaN apart; None for anything else.

    >>> cell_number(3), cell_number(Decimal("0.1")), cell_number("3"), cell_number(True)
    (3.0, 0.1, None, None)
    """
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond float64
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(number) else number


def typed_cell(value: object, where: str, column: str, *, blank: bool, text: bool, number: bool) -> str | float:
    """A cell as text, or as the number that a file holds where that is wanted.

    Args:
        value, where, column, blank, text: as for `cell_text`.
        number: whether a number stays one.

    Raises:
        ValueError: as `cell_text`.
    """
    found = cell_number(value) if number else None
    return cell_text(value, where, column, blank=blank, text=text) if found is None else found


def column_position(where: object, column: str, names: Sequence[str], first: str = "its first line names") -> int:
    """The index of a column among names.

    Args:
        where: what to call the table.
        column: its name.
        names: those of the table.
        first: how the names are introduced.

    Raises:
        ValueError: when it is missing, or there are two of it.
    """
    found = [position for position, name in enumerate(names) if name == column]
    if len(found) == 1:
        return found[0]
    if found:
        positions = " and ".join(str(position + 1) for position in found)
        raise ValueError(f"{where}: columns {positions} are both named {column!r}; rename one of them")
    comment = "; if it is a comment, give --comments '#'" if names and names[0].startswith("#") else ""
    raise ValueError(
        f"{where}: no column {column!r}; {first} {', '.join(map(repr, names[:20]))}{separator_hint(names)}{comment}. "
        "Give the name of one of them, or numbers (from 1) for a table without names"
    )


def separator_hint(names: Sequence[str]) -> str:
    """What to say of the names in a first line that something else seems to separate; else nothing.

    >>> separator_hint(["day;sales"])
    " (separated by ';'? .csv has commas, .tsv tabs; otherwise give --separator ';')"
    """
    found = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
    if found is None:
        return ""
    given = "tab" if found == "\t" else f"'{found}'"
    return f" (separated by {found!r}? .csv has commas, .tsv tabs; otherwise give --separator {given})"


def shortened(value: object) -> str:
    """A value for a message, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
