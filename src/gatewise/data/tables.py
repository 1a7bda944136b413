"""Tables in files: CSV, TSV, JSON lines, Parquet and Arrow, their columns by name or by number."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatewise.data.cells import column_place, typed_cell
from gatewise.data.delimited import delimited_rows
from gatewise.data.json_lines import json_objects
from gatewise.data.parquet import TYPED, typed_names, typed_rows
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.progress import Progress

SUFFIXES = (".csv", ".tsv", ".jsonl", *TYPED)

Column = str | int
"""The name of a column; its number (from 1) as text, where a table has no line of names; its place (from 0) as int."""

NumberedCells = tuple[int, tuple[Any, ...]]


@dataclass(frozen=True)
class TableRows:
    """Some columns of a table, row by row.

    Attributes:
        where: what to call the table.
        unit: what rows are counted in: "line" or "row".
        numbers: the line (or row) of each row.
        cells: of each row the columns, as text, or as float where that was asked for and the file holds numbers.
        decimal: the decimal mark of numbers in it.
    """

    where: str
    unit: str
    numbers: Sequence[int]
    cells: Sequence[tuple[Any, ...]]
    decimal: str = "."

    def at(self, row: int) -> str:
        """The place of a row (from 0), for people."""
        return f"{self.where}: {self.place(row)}"

    def place(self, row: int) -> str:
        """The place of a row (from 0) in its table, for people."""
        return f"{self.unit} {self.numbers[row]}"

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.cells)


def read_columns(
    path: Path,
    columns: Sequence[Column],
    *,
    blanks: bool = False,
    texts: Collection[Column] = (),
    numbers: Collection[Column] = (),
    format: TableFormat = PLAIN,
) -> TableRows:
    """Some columns of a table, as text, row by row.

    The ending of the name says what it is, before one of compression (.gz, .xz, .bz2). CSV is quoted as in RFC 4180,
    TSV not at all. A column that is a number counts from 1 and means a table without a line of names.

    Args:
        path: the file.
        columns: which.
        blanks: whether values of JSON lines and Parquet may be missing, as those of CSV may; they are empty texts then.
        texts: the columns that must hold text, where a file tells text from numbers.
        numbers: the columns whose numbers are not to become text, where a file tells them from text.
        format: how the text of a file is written.

    Raises:
        ValueError: when the ending is unknown, a column is missing or there twice, or a row is malformed; with its
            line.
        OSError: when it cannot be read.
    """
    with Progress(f"reading {path.name}", "rows") as progress:
        return _read_columns(path, columns, blanks, (texts, numbers), format, progress.advance)


def _read_columns(
    path: Path,
    columns: Sequence[Column],
    blanks: bool,
    kinds: tuple[Collection[Column], Collection[Column]],
    format: TableFormat,
    advance: Callable[[], None],
) -> TableRows:
    kind = kind_of(path)
    if kind in (".csv", ".tsv"):
        return _delimited(path, format.read(path), columns, kind, format, advance)
    unit, names, rows = _typed(path, kind, columns, blanks, format)
    texts, numbers = kinds
    chosen = [(name, column in texts, column in numbers) for name, column in zip(names, columns, strict=True)]

    def cells(number: int, values: tuple[Any, ...]) -> tuple[Any, ...]:
        where = f"{path}: {unit} {number}"
        return tuple(
            typed_cell(value, where, name, blank=blanks, text=text, number=is_number)
            for value, (name, text, is_number) in zip(values, chosen, strict=True)
        )

    return _collected(path, unit, ((number, cells(number, values)) for number, values in rows), advance)


def read_values(path: Path, columns: Sequence[str], *, blanks: bool = False) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Some columns of JSON lines or Parquet, as the values that they hold, row by row, each with its place.

    Args:
        path: the file.
        columns: their names.
        blanks: whether values of JSON lines may be missing; they are None then.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    with Progress(f"reading {path.name}", "rows") as progress:
        unit, _, rows = _typed(path, kind_of(path), columns, blanks, PLAIN)
        for number, values in rows:
            progress.advance()
            yield f"{path}: {unit} {number}", values


def _typed(
    path: Path, kind: str, columns: Sequence[Column], blanks: bool, format: TableFormat
) -> tuple[str, list[str], Iterator[tuple[int, tuple[Any, ...]]]]:
    """What rows are counted in, the names of columns, and their values, of files whose values have types."""
    if kind in TYPED:
        names = _by_name(columns, typed_names(path))
        return "row", names, typed_rows(path, names)
    text = format.read(path)
    names = _by_name(columns, _first_members(path, text))
    return "line", names, _members(path, text, names, blanks)


def columns_of_text(where: Path, text: str, columns: Sequence[Column], format: TableFormat = PLAIN) -> TableRows:
    """Some columns of a table that is CSV in a text, as `read_columns`.

    Args:
        where: what to call it.
        text: the table.
        columns: which.
        format: how it is written.

    Raises:
        ValueError: as `read_columns`.
    """
    return _delimited(where, text, columns, ".csv", format)


def column_names(path: Path, format: TableFormat = PLAIN) -> list[str]:
    """The names of a table's columns: its first line, or the members of its first object.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    kind = kind_of(path)
    if kind in TYPED:
        return typed_names(path)
    text = format.read(path)
    return _first_members(path, text) if kind == ".jsonl" else names_of_text(path, text, kind, format)


def names_of_text(where: Path, text: str, kind: str = ".csv", format: TableFormat = PLAIN) -> list[str]:
    """The names in the first line of a table in a text.

    Raises:
        ValueError: when that is malformed.
    """
    _, names = next(delimited_rows(where, text, kind, format), (0, []))
    return names


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


def _delimited(
    path: Path,
    text: str,
    columns: Sequence[Column],
    kind: str,
    format: TableFormat,
    advance: Callable[[], None] = lambda: None,
) -> TableRows:
    rows = delimited_rows(path, text, kind, format)
    if all(isinstance(column, str) and column.isdecimal() and int(column) > 0 for column in columns):
        places = [int(column) - 1 for column in columns]
    else:
        _, names = next(rows, (0, []))
        if not names:
            raise _no_rows(path)
        places = [column if isinstance(column, int) else column_place(path, column, names) for column in columns]
    found = _collected(path, "line", _picked(path, rows, places), advance)
    return replace(found, decimal=format.decimal)


def _picked(path: Path, rows: Iterable[tuple[int, list[str]]], places: list[int]) -> Iterator[NumberedCells]:
    for number, row in rows:
        if len(row) <= max(places):
            raise ValueError(f"{path}: line {number}: expected at least {max(places) + 1} columns, got {len(row)}")
        yield number, tuple(row[place] for place in places)


def _members(path: Path, text: str, names: list[str], blanks: bool) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for number, row in json_objects(path, text):
        for name in names:
            if name not in row and not blanks:
                raise ValueError(f"{path}: line {number}: no {name!r}; the object has {', '.join(map(repr, row))}")
        yield number, tuple(row.get(name) for name in names)


def _collected(path: Path, unit: str, rows: Iterable[NumberedCells], advance: Callable[[], None]) -> TableRows:
    numbers: list[int] = []
    cells: list[tuple[str, ...]] = []
    for number, row in rows:
        numbers.append(number)
        cells.append(row)
        advance()
    if not cells:
        raise _no_rows(path)
    return TableRows(str(path), unit, numbers, cells)


def _no_rows(path: Path) -> ValueError:
    return ValueError(f"{path}: there are no rows in it")


def _by_name(columns: Sequence[Column], names: Sequence[str]) -> list[str]:
    return [names[column] if isinstance(column, int) else column for column in columns]


def _first_members(path: Path, text: str) -> list[str]:
    _, first = next(json_objects(path, text), (0, {}))
    return list(first)
