"""Columns without a name of their own: the row numbers that data frames write beside their data."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

# What pandas calls a column whose name is missing, and what it calls an index in Parquet.
_UNNAMED = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
_INDEX = "__index_level_"


def is_unnamed(name: str) -> bool:
    """Whether a name in the first line of a table is none.

    >>> is_unnamed(""), is_unnamed("Unnamed: 0"), is_unnamed("x")
    (True, True, False)
    """
    return _UNNAMED.fullmatch(name) is not None


def data_columns(
    where: str,
    names: Sequence[str],
    taken: Collection[str],
    cells: Callable[[int], Iterable[str]],
    notify: Callable[[str], None],
) -> list[str]:
    """The columns of a table that hold data, where none are named: all but those that have another part.

    A column without a name is skipped with a notice when it numbers the rows, as the index of a data frame does, is
    empty, or is called an index by the file.

    Args:
        where: what to call the table.
        names: of its columns.
        taken: the columns that have another part.
        cells: reads the column of an index (from 0), each time that it is iterated over.
        notify: receives the notices.

    Raises:
        ValueError: for any other column without a name.
    """
    found: list[str] = []
    for position, name in enumerate(names):
        if name in taken:
            continue
        if not is_unnamed(name):
            found.append(name)
            continue
        values = cells(position)
        called = (
            f"column {position + 1} has no name" if not name.strip() else f"column {position + 1} is named {name!r}"
        )
        if numbers_rows(values):
            notify(f"{called} and numbers the rows; skipped")
        elif name.startswith(_INDEX):
            notify(f"{called}, the index of a data frame; skipped")
        elif any(value.strip() for value in values):
            raise ValueError(
                f"{where}: {called}; expected a name for every column of data: name it, delete it (pandas leaves the "
                "index out with to_csv(index=False)), or list the columns to use"
            )
        elif name.strip():
            notify(f"{called} and is empty; skipped")
    return found


def numbers_rows(values: Iterable[str]) -> bool:
    """Whether values are consecutive whole numbers, in any order; those that ascend are not kept in memory.

    >>> numbers_rows(["0", "1", "2"]), numbers_rows(["8", "7"]), numbers_rows(["1", "1"]), numbers_rows(["0.5"])
    (True, True, False, False)
    """
    ascending, others = range(0), set[int]()
    for value in values:
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            return False
        number = int(value)
        if number in ascending or number in others:
            return False
        if not ascending:
            ascending = range(number, number + 1)
        elif number == ascending.stop:
            ascending = range(ascending.start, number + 1)
        else:
            others.add(number)
    least, most = min((ascending[0], *others)), max((ascending[-1], *others))
    return most - least + 1 == len(ascending) + len(others)
