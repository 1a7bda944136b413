"""Rows of CSV and TSV, each of which has as many fields as the first."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def delimited_rows(path: Path, text: str, kind: str) -> Iterator[tuple[int, list[str]]]:
    r"""The rows of a table, the line of names among them, each with the line that it begins on.

    Blank lines are skipped.

    Args:
        path: what to call it.
        text: the table.
        kind: ".csv", quoted as in RFC 4180, or ".tsv", not quoted at all.

    Raises:
        ValueError: for a row with more or fewer fields than the first, or a misplaced quote; with its line.

    >>> list(delimited_rows(Path("a.csv"), 'text,label\n"one,\ntwo",x\n', ".csv"))
    [(1, ['text', 'label']), (2, ['one,\ntwo', 'x'])]
    """
    csv.field_size_limit(2**31 - 1)
    quoting = csv.QUOTE_MINIMAL if kind == ".csv" else csv.QUOTE_NONE
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=_SEPARATORS[kind], quoting=quoting, strict=True)
    width = names = 0
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{path}: line {line}: not CSV: {error}; a quote that opens a field must close it, and a quote inside "
                "a quoted field is written twice"
            ) from None
        if not row or (width != 1 and len(row) == 1 and not row[0].strip()):
            continue
        if not width:
            width, names = len(row), line
        elif len(row) != width:
            raise ValueError(
                f"{path}: line {line}: expected {width} fields, as in line {names}, got {len(row)}"
                + _hint(kind, len(row) - width, reader.line_num if reader.line_num > line else None)
            )
        yield line, row


def _hint(kind: str, surplus: int, last: int | None) -> str:
    if last is not None:
        return f"; the row goes on to line {last}: is a quote not closed?"
    if surplus < 0:
        return "" if kind == ".csv" else "; a field of TSV cannot have a line break in it, quoted or not: that is CSV"
    inside = "a field with a comma in it must be quoted" if kind == ".csv" else "a field cannot have a tab in it"
    return f"; {inside}, and every column needs a name in the first line"
