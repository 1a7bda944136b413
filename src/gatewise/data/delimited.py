"""Rows of CSV and TSV, each of which has as many fields as the first: strictly, and with their lines.

`gatewise.data.arrow_csv` reads the same much faster where nothing is unusual; this says what is wrong, and where.
"""

import csv
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from gatewise.data.cells import separator_hint
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.table_text import TableText


class Head(NamedTuple):
    """The first row of a table.

    Attributes:
        cells: its fields, which may be the names of the columns.
        line: the line that it begins on, from 1.
        last: the line that it ends on.
    """

    cells: list[str]
    line: int
    last: int


def delimited_rows(table: TableText, kind: str, format: TableFormat = PLAIN) -> Iterator[tuple[int, list[str]]]:
    r"""The rows of a table, the line of names among them, each with the line that it begins on.

    Blank lines and comments are skipped; a line inside a quoted field is not a comment.

    Args:
        table: the table.
        kind: ".csv", quoted as in RFC 4180, or ".tsv", not quoted at all.
        format: what separates columns, and what comments begin with.

    Raises:
        ValueError: for a row with more or fewer fields than the first, or a misplaced quote; with its line.

    >>> from pathlib import Path
    >>> list(delimited_rows(TableText.of(Path("a.csv"), 'text,label\n"one,\ntwo",x\n'), ".csv"))
    [(1, ['text', 'label']), (2, ['one,\ntwo', 'x'])]
    """
    return ((line, row) for line, _, row in _rows(table, kind, format))


def head_of(table: TableText, kind: str, format: TableFormat = PLAIN) -> Head | None:
    """The first row of a table, of a file read once until it changes; None for a table without rows.

    Raises:
        ValueError: for a misplaced quote in it.
    """
    return (_head if table.version is None else _head_of_file)(table, kind, format)


def _head(table: TableText, kind: str, format: TableFormat) -> Head | None:
    found = next(_rows(table, kind, format), None)
    return None if found is None else Head(found[2], found[0], found[1])


_head_of_file = lru_cache(maxsize=64)(_head)


def _rows(table: TableText, kind: str, format: TableFormat) -> Iterator[tuple[int, int, list[str]]]:
    """The rows, each with its first and its last line."""
    csv.field_size_limit(2**31 - 1)
    quoting = csv.QUOTE_MINIMAL if kind == ".csv" else csv.QUOTE_NONE
    lines = _Lines(table.lines(), format.comments)
    reader = csv.reader(lines, delimiter=format.mark(kind), quoting=quoting, strict=True)
    width = names = 0
    hint = ""
    while True:
        line = reader.line_num + 1
        lines.at_row = True
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{table.where}: line {line}: not CSV: {error}; a quote that opens a field must close it, and a quote "
                "inside a quoted field is written twice"
            ) from None
        if not row or (width != 1 and len(row) == 1 and not row[0].strip()):
            continue
        if not width:
            width, names, hint = len(row), line, separator_hint(row)
        elif len(row) != width:
            last = reader.line_num if reader.line_num > line else None
            raise ValueError(
                f"{table.where}: line {line}: expected {width} fields, as in line {names}, got {len(row)}"
                f"{hint or _hint(format.mark(kind), kind, len(row) - width, last)}"
            )
        yield line, reader.line_num, row


class _Lines:
    """The lines of a text; a comment where a row begins is a blank line.

    Attributes:
        at_row: whether the next line begins a row.
    """

    def __init__(self, lines: Iterable[str], comments: str | None) -> None:
        self._lines = lines
        self._comments = comments
        self.at_row = True

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            skipped = self.at_row and self._comments is not None and line.startswith(self._comments)
            self.at_row = False
            yield "\n" if skipped else line


def _hint(mark: str, kind: str, surplus: int, last: int | None) -> str:
    if last is not None:
        return f"; the row ends on line {last}: is a quote not closed?"
    if surplus < 0:
        return "" if kind == ".csv" else "; a field of TSV cannot have a line break in it, quoted or not: that is CSV"
    name = {",": "a comma", "\t": "a tab"}.get(mark, repr(mark))
    inside = f"a field with {name} in it must be quoted" if kind == ".csv" else f"a field cannot have {name} in it"
    return f"; {inside}, and every column needs a name in the first line"
