"""Time in several columns: year, month, day and so on, or a date and the time of the day."""

from collections.abc import Iterator, Sequence

from gatewise.data.numerals import parse_number
from gatewise.data.table_columns import TextColumn

_PARTS = ("year", "month", "day", "hour", "minute", "second")
_BEFORE = ("", "-", "-", " ", ":", ":")
_ROWS = 8192


def part_names(column: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns that are meant by a name, or by several with commas between them.

    >>> part_names("year, month", ["year", "month", "v"]), part_names("a,b", ["a,b", "v"])
    (('year', 'month'), ('a,b',))
    """
    if column in names or "," not in column:
        return (column,)
    return tuple(part.strip() for part in column.split(","))


def joined_parts(names: Sequence[str], columns: Sequence[TextColumn], form: str | None) -> TextColumn:
    """The time stamps of several columns, as text.

    Columns that are named year, month, day, hour, minute and second become ISO 8601. Others, and all of them where
    the form of stamps is given, are joined by spaces.

    Args:
        names: of the columns.
        columns: their cells.
        form: of the stamps, where the user gave it.

    Raises:
        ValueError: when parts are missing between others.
    """
    import pyarrow

    order = [_PARTS.index(name.lower()) for name in names if name.lower() in _PARTS]
    calendar = form is None and len(order) == len(names)
    if calendar and sorted(order) != list(range(len(order))):
        raise ValueError(
            f"time_column: expected year, month, day, hour, minute, second, each with all that are before it, "
            f"got {', '.join(names)}"
        )
    placed = [columns[order.index(part)] for part in range(len(order))] if calendar else list(columns)
    parts = [
        pyarrow.array(map(_iso if calendar else " ".join, rows), pyarrow.string()) for rows in _rows_in_parts(placed)
    ]
    return TextColumn(parts)


def _rows_in_parts(columns: Sequence[TextColumn]) -> Iterator[Iterator[tuple[str, ...]]]:
    for start in range(0, len(columns[0]), _ROWS):
        yield zip(*(column[start : start + _ROWS] for column in columns), strict=True)


def _iso(parts: Sequence[str]) -> str:
    """Numbers as ISO 8601, whatever they are; what is not a whole number stays as it is.

    >>> _iso(["2020", "2", "30.0"]), _iso(["2020", "Feb"]), _iso(["2020", "2", "3", "4"])
    ('2020-02-30', '2020-Feb', '2020-02-03 04:00')
    """
    text = ""
    for index, (before, part) in enumerate(zip(_BEFORE, parts, strict=False)):
        number = parse_number(part)
        whole = number is not None and number.is_integer() and number >= 0
        text += f"{before}{int(number):0{2 if index else 4}}" if whole and number is not None else f"{before}{part}"
    return f"{text}:00" if len(parts) == 4 else text
