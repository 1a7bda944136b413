"""Tables in files: CSV, TSV, JSON lines and Parquet, their columns by name or by number."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from gatewise.data.files import read_bytes
from gatewise.data.text import decoded

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_columns(path: Path, columns: Sequence[str], *, blanks: bool = False) -> list[tuple[str, ...]]:
    """Some columns of a table, as text, row by row.

    The ending of the name says what it is, before one of compression (.gz, .xz, .bz2). CSV is quoted as in RFC 4180,
    TSV not at all. A column that is a number counts from 1 and means a table without a line of names.

    Args:
        path: the file.
        columns: the names of the columns, or their numbers.
        blanks: whether values of JSON lines and Parquet may be missing, as those of CSV may; they are empty texts then.

    Raises:
        ValueError: when the ending is unknown, a column is missing, or a row is too short or malformed; with its line.
        OSError: when it cannot be read.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        return _filled(path, _parquet(path, columns, blanks))
    text = decoded(path, read_bytes(path))
    rows = _json_rows(path, text, columns, blanks) if kind == ".jsonl" else _rows(path, text, columns, kind)
    return _filled(path, rows)


def columns_of_text(where: Path, text: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Some columns of a table that is CSV in a text, as `read_columns`.

    Args:
        where: what to call it.
        text: the table.
        columns: the names of the columns, or their numbers.

    Raises:
        ValueError: as `read_columns`.
    """
    return _filled(where, _rows(where, text, columns, ".csv"))


def _filled(path: Path, rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    found = list(rows)
    if not found:
        raise ValueError(f"{path}: there are no rows in it")
    return found


def column_names(path: Path) -> list[str]:
    """The names of a table's columns: its first line, or the members of its first object.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        return _parquet_names(path)
    text = decoded(path, read_bytes(path))
    if kind == ".jsonl":
        try:
            return list(json.loads(_first_line(text)))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"{path}: line 1: not a JSON object: {error}") from None
    return names_of_text(text, "\t" if kind == ".tsv" else ",")


def names_of_text(text: str, delimiter: str = ",") -> list[str]:
    """The names in the first line of a table in a text."""
    return next(csv.reader([_first_line(text)], delimiter=delimiter), [])


def _first_line(text: str) -> str:
    return next((line.rstrip("\n") for line in io.StringIO(text, newline=None) if line.strip()), "")


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table."""
    return any(suffix.lower() in SUFFIXES for suffix in path.suffixes)


def kind_of(path: Path) -> str:
    """The ending that says what a table is.

    Raises:
        ValueError: when it is unknown.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".xz", ".bz2")]
    kind = suffixes[-1] if suffixes else ""
    if kind not in SUFFIXES:
        raise ValueError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}, got {path.name!r}; rename the file")
    return kind


def _rows(path: Path, text: str, columns: Sequence[str], kind: str) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(2**31 - 1)
    if kind == ".tsv":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    places: list[int] | None = None
    if all(column.isdecimal() and int(column) > 0 for column in columns):
        places = [int(column) - 1 for column in columns]
    try:
        for row in reader:
            if not row:
                continue
            if places is None:
                places = [_place(path, column, row) for column in columns]
                continue
            if len(row) <= max(places):
                raise ValueError(
                    f"{path}: line {reader.line_num}: expected at least {max(places) + 1} columns, got {len(row)}"
                )
            yield tuple(row[place] for place in places)
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: not CSV: {error}") from None


def _place(path: Path, column: str, names: Sequence[str]) -> int:
    if column not in names:
        raise ValueError(
            f"{path}: no column {column!r}; its first line names {', '.join(map(repr, names[:20]))}{unsplit(names)}. "
            "Give the name of one of them, or numbers (from 1) for a table without names"
        )
    return names.index(column)


def unsplit(names: Sequence[str]) -> str:
    """What to say of the names in a first line that something else seems to separate; else nothing.

    >>> unsplit(["day;sales"])
    " (separated by ';'? .csv has commas, .tsv tabs)"
    """
    found = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
    return "" if found is None else f" (separated by {found!r}? .csv has commas, .tsv tabs)"


def _json_rows(path: Path, text: str, columns: Sequence[str], blanks: bool) -> Iterator[tuple[str, ...]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number}: expected a JSON object, got {type(row).__name__}")
        for column in columns:
            if row.get(column) is None and not blanks:
                raise ValueError(f"{path}: line {number}: no {column!r}; the object has {', '.join(map(repr, row))}")
        yield tuple(_text(row.get(column)) for column in columns)


def _parquet(path: Path, columns: Sequence[str], blanks: bool) -> list[tuple[str, ...]]:
    names = _parquet_names(path)
    for column in columns:
        _place(path, column, names)
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path, columns=list(columns))
    except ArrowException as error:
        raise ValueError(f"{path}: a corrupt Parquet file ({error})") from None
    values = [table.column(column).to_pylist() for column in columns]
    rows = list(zip(*values, strict=True))
    for number, row in enumerate(rows, 1):
        if None in row and not blanks:
            raise ValueError(f"{path}: row {number}: no {columns[row.index(None)]!r}")
    return [tuple(_text(value) for value in row) for row in rows]


def _parquet_names(path: Path) -> list[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError(f"{path}: Parquet needs pyarrow; install it with: pip install 'gatewise[parquet]'") from None
    with path.open("rb"):  # a missing file is an OSError that names it
        pass
    try:
        return parquet.read_schema(path).names
    except ArrowException as error:
        raise ValueError(f"{path}: not Parquet, or a corrupt file ({error})") from None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | date | Decimal):
        return str(value)
    return json.dumps(value)
