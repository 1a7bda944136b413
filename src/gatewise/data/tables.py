"""Tables in files: CSV, TSV, JSON lines, Parquet and Arrow, their columns by name or by number."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.data.arrow_csv import arrow_columns
from gatewise.data.arrow_json import arrow_members
from gatewise.data.cells import column_position
from gatewise.data.delimited import Head, delimited_rows, head_of
from gatewise.data.json_lines import objects_in
from gatewise.data.parquet import TYPED, typed_columns, typed_names
from gatewise.data.table_columns import Column as TableColumn
from gatewise.data.table_columns import ColumnBuilder, TableRows
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.table_text import TableText
from gatewise.data.utf8_stream import UnusualTableError
from gatewise.progress import Progress

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl", *TYPED)

Column = str | int
"""The name of a column; its number (from 1) as text, where a table has no line of names; its index (from 0) as int."""

_SHORT = 2048
"""Characters of a table that is not worth Arrow's reader, which takes half a millisecond to begin."""
_PART = 8192
"""Rows that are read at a time."""


@dataclass(frozen=True)
class Wanted:
    """What is read of a table: the arguments of `read_columns`."""

    columns: Sequence[Column]
    blanks: bool = False
    texts: Collection[Column] = ()
    numbers: Collection[Column] = ()

    def builders(self, decimal: str = ".", first: int = 0) -> list[ColumnBuilder]:
        return [ColumnBuilder(number=column in self.numbers, decimal=decimal, first=first) for column in self.columns]

    def named(self, names: Sequence[str]) -> list[str]:
        """The names of the columns of a table with these names."""
        return [names[column] if isinstance(column, int) else column for column in self.columns]


def read_columns(
    path: Path,
    columns: Sequence[Column],
    *,
    blanks: bool = False,
    texts: Collection[Column] = (),
    numbers: Collection[Column] = (),
    format: TableFormat = PLAIN,
) -> TableRows:
    """Some columns of a table.

    The ending of the name says what it is, before one of compression (.gz, .xz, .bz2). CSV is quoted as in RFC 4180,
    TSV not at all. A column that is a number counts from 1 and means a table without a line of names.

    Args:
        path: the file.
        columns: which.
        blanks: whether values of JSON lines and Parquet may be missing, as those of CSV may; they are empty texts then.
        texts: the columns that must hold text, where a file distinguishes text from numbers.
        numbers: the columns of numbers; any other text in them stays text, and a missing number is an empty text.
        format: how the text of a file is written.

    Raises:
        ValueError: when the ending is unknown, a column is missing or there twice, or a row is malformed; with its
            line.
        OSError: when it cannot be read.
    """
    kind, wanted = kind_of(path), Wanted(columns, blanks, texts, numbers)
    with Progress(f"reading {path.name}", "rows") as progress:
        if kind in (".csv", ".tsv"):
            return _delimited(format.text(path), kind, wanted, format, progress.advance)
        if kind == ".jsonl":
            return TableRows.joined(_json_parts(format.text(path), wanted), progress.advance)
        names = wanted.named(typed_names(path))
        return columns_of_arrow(str(path), names, typed_columns(path, names), wanted, progress.advance)


def table_rows(
    path: Path, columns: Sequence[Column], *, texts: Collection[Column] = (), format: TableFormat = PLAIN
) -> Iterator[tuple[Callable[[], str], tuple[str, ...]]]:
    """Some columns of a table as text, row by row, each with what gives its location for people; little is in memory.

    Args:
        path, columns, texts, format: as for `read_columns`.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    with Progress(f"reading {path.name}", "rows") as progress:
        for part in read_column_parts(path, columns, texts=texts, format=format):
            for number, row in enumerate(part):
                yield partial(part.full_location, number), row
            progress.advance(len(part))


def columns_of_text(
    where: Path,
    text: str,
    columns: Sequence[Column],
    format: TableFormat = PLAIN,
    numbers: Collection[Column] = (),
) -> TableRows:
    """Some columns of a table that is CSV in a text, as `read_columns`.

    Args:
        where: what to call it.
        text: the table.
        columns, numbers: as for `read_columns`.
        format: how it is written.

    Raises:
        ValueError: as `read_columns`.
    """
    table, wanted = TableText.of(where, text), Wanted(columns, numbers=numbers)
    return TableRows.joined(_delimited_parts(table, ".csv", wanted, format, strictly=len(text) < _SHORT))


def columns_of_arrow(
    where: str,
    names: Sequence[str],
    batches: Iterable[Sequence["pyarrow.Array"]],
    wanted: Wanted,
    advance: Callable[[float], None] = lambda _: None,
    first: int = 0,
) -> TableRows:
    """Columns that come as Arrow arrays, some rows at a time; the first of them is row `first` of the table, from 0."""
    builders = wanted.builders(first=first)
    rows = 0
    for batch in batches:
        for builder, cells, name, column in zip(builders, batch, names, wanted.columns, strict=True):
            builder.add_typed(cells, f"{where}: row", name, blank=wanted.blanks, text=column in wanted.texts)
        rows += len(batch[0])
        advance(len(batch[0]))
    if not rows:
        raise _no_rows(where)
    return TableRows(where, "row", [builder.finish() for builder in builders], first=first)


def read_column_parts(
    path: Path,
    columns: Sequence[Column],
    *,
    blanks: bool = False,
    texts: Collection[Column] = (),
    numbers: Collection[Column] = (),
    format: TableFormat = PLAIN,
) -> Iterator[TableRows]:
    """The same as of `read_columns` in parts, one after the other, so that a file may be larger than memory."""
    kind, wanted = kind_of(path), Wanted(columns, blanks, texts, numbers)
    if kind in (".csv", ".tsv"):
        return _delimited_parts(format.text(path), kind, wanted, format)
    return _json_parts(format.text(path), wanted) if kind == ".jsonl" else _typed_parts(path, wanted)


def _typed_parts(path: Path, wanted: Wanted) -> Iterator[TableRows]:
    names = wanted.named(typed_names(path))
    rows = 0
    for batch in typed_columns(path, names):
        if len(batch[0]):
            yield columns_of_arrow(str(path), names, [batch], wanted, first=rows)
            rows += len(batch[0])
    if not rows:
        raise _no_rows(str(path))


def read_values(path: Path, columns: Sequence[str], *, blanks: bool = False) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Some columns of JSON lines or Parquet, as the values that they hold, row by row, each with its location.

    Args:
        path: the file.
        columns: their names.
        blanks: whether values of JSON lines may be missing; they are None then.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    with Progress(f"reading {path.name}", "rows") as progress:
        if kind_of(path) in TYPED:
            unit, rows = "row", _numbered(typed_columns(path, columns))
        else:
            unit, rows = "line", _members(PLAIN.text(path), columns, blanks)
        for number, values in rows:
            progress.advance()
            yield f"{path}: {unit} {number}", values


def column_names(path: Path, format: TableFormat = PLAIN) -> list[str]:
    """The names of a table's columns: its first line, or the members of its first object.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    kind = kind_of(path)
    if kind in TYPED:
        return typed_names(path)
    text = format.text(path)
    return _first_members(text) if kind == ".jsonl" else _names(text, kind, format)


def names_of_text(where: Path, text: str, format: TableFormat = PLAIN) -> list[str]:
    """The names in the first line of a table that is CSV in a text.

    Raises:
        ValueError: when that is malformed.
    """
    return _names(TableText.of(where, text), ".csv", format)


def _names(text: TableText, kind: str, format: TableFormat) -> list[str]:
    head = head_of(text, kind, format)
    return [] if head is None else head.cells


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
    table: TableText,
    kind: str,
    wanted: Wanted,
    format: TableFormat,
    advance: Callable[[float], None] = lambda _: None,
) -> TableRows:
    return TableRows.joined(_delimited_parts(table, kind, wanted, format), advance)


def _delimited_parts(
    table: TableText, kind: str, wanted: Wanted, format: TableFormat, *, strictly: bool = False
) -> Iterator[TableRows]:
    head = head_of(table, kind, format)
    indices, by_number = _column_indices(table, head, wanted)
    assert head is not None
    skipped = 0 if by_number else 1

    def count_lines() -> Iterator[int]:
        return (line for line, _ in islice(delimited_rows(table, kind, format), skipped, None))

    def batches() -> Iterator[list["pyarrow.Array"]]:
        found = 0
        skip = head.line - 1 if by_number else head.last
        if strictly:
            yield from _strict_columns(table, kind, format, skipped, indices)
            return
        try:
            for batch in arrow_columns(table, kind, format, len(head.cells), skip, indices):
                yield batch
                found += len(batch[0])
        except UnusualTableError:
            yield from _strict_columns(table, kind, format, skipped + found, indices)

    first = 0
    for batch in batches():
        builders = wanted.builders(format.decimal)
        for builder, cells in zip(builders, batch, strict=True):
            builder.add_text(cells)
        columns = [builder.finish() for builder in builders]
        yield TableRows(str(table.where), "line", columns, count_lines, format.decimal, first)
        first += len(batch[0])
    if not first:
        raise _no_rows(table.where)


def _column_indices(table: TableText, head: Head | None, wanted: Wanted) -> tuple[list[int], bool]:
    """The indices of the columns, and whether they are named by numbers, so that the first row is data."""
    if head is None:
        raise _no_rows(table.where)
    by_number = all(isinstance(column, str) and column.isdecimal() and int(column) > 0 for column in wanted.columns)
    indices = [
        int(column) - 1 if by_number else column if isinstance(column, int) else _column_index(table, column, head)
        for column in wanted.columns
    ]
    if len(head.cells) <= max(indices):
        raise ValueError(
            f"{table.where}: line {head.line}: expected at least {max(indices) + 1} columns, got {len(head.cells)}"
        )
    return indices, by_number


def _strict_columns(
    table: TableText, kind: str, format: TableFormat, skipped: int, indices: Sequence[int]
) -> Iterator[list["pyarrow.Array"]]:
    """As `arrow_columns`, by the strict reader."""
    import pyarrow

    rows = islice(delimited_rows(table, kind, format), skipped, None)
    while part := [row for _, row in islice(rows, _PART)]:
        yield [pyarrow.array([row[index] for row in part], pyarrow.string()) for index in indices]


def _column_index(table: TableText, column: Column, head: Head) -> int:
    assert isinstance(column, str)
    return column_position(table.where, column, head.cells)


def _json_parts(table: TableText, wanted: Wanted) -> Iterator[TableRows]:
    names = wanted.named(_first_members(table))

    def count_lines() -> Iterator[int]:
        return (number for number, line in enumerate(table.lines("\n"), 1) if line.strip())

    numbers = [name for name, column in zip(names, wanted.columns, strict=True) if column in wanted.numbers]
    first = 0
    try:
        for batch in arrow_members(table, names, numbers, blanks=wanted.blanks):
            found = columns_of_arrow(str(table.where), names, [batch], wanted, first=first)
            yield replace(found, unit="line", count_lines=count_lines)
            first += len(batch[0])
    except UnusualTableError:
        for columns in _strict_members(table, names, wanted, first):
            yield TableRows(str(table.where), "line", columns, count_lines, first=first)
            first += len(columns[0])
    if not first:
        raise _no_rows(table.where)


def _strict_members(
    table: TableText, names: Sequence[str], wanted: Wanted, skipped: int
) -> Iterator[list[TableColumn]]:
    rows = islice(_members(table, names, wanted.blanks), skipped, None)
    while part := list(islice(rows, _PART)):
        builders = wanted.builders()
        locations = [f"{table.where}: line {number}" for number, _ in part]
        for index, (builder, name, column) in enumerate(zip(builders, names, wanted.columns, strict=True)):
            cells = [values[index] for _, values in part]
            builder.add_values(cells, locations, name, blank=wanted.blanks, text=column in wanted.texts)
        yield [builder.finish() for builder in builders]


def _members(table: TableText, names: Sequence[str], blanks: bool) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for number, row in objects_in(table.where, table.lines("\n")):
        for name in names:
            if name not in row and not blanks:
                raise ValueError(
                    f"{table.where}: line {number}: no {name!r}; the object has {', '.join(map(repr, row))}"
                )
        yield number, tuple(row.get(name) for name in names)


def _numbered(batches: Iterable[Sequence["pyarrow.Array"]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The values of columns that come as Arrow arrays, row by row, each with its number."""
    lists = (zip(*(cells.to_pylist() for cells in batch), strict=True) for batch in batches)
    return enumerate((row for batch in lists for row in batch), 1)


def _first_members(table: TableText) -> list[str]:
    """The names in the first object, of a file read once until it changes."""
    return list((_members_of_first if table.version is None else _members_of_file)(table))


def _members_of_first(table: TableText) -> tuple[str, ...]:
    _, first = next(objects_in(table.where, table.lines("\n")), (0, {}))
    return tuple(first)


_members_of_file = lru_cache(maxsize=64)(_members_of_first)


def _no_rows(where: object) -> ValueError:
    return ValueError(f"{where}: there are no rows in it")
