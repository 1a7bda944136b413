"""Where rows of time series come from: files, a text of CSV, a table in memory."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from gatewise.data.cells import column_position
from gatewise.data.files import as_paths
from gatewise.data.in_memory import is_in_memory, to_arrow
from gatewise.data.named_files import tables_of
from gatewise.data.table_columns import TableRows
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import (
    Column,
    Wanted,
    column_names,
    columns_of_arrow,
    columns_of_text,
    names_of_text,
    read_column_parts,
)
from gatewise.progress import Progress

_ROWS = 8192


class Table(Protocol):
    """Named columns of text or numbers; what is missing is an empty text."""

    @property
    def where(self) -> str: ...
    def names(self) -> list[str]: ...
    def parts(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> Iterator[TableRows]: ...


class FileTable:
    """A file: .csv, .tsv, .jsonl, .parquet, .arrow, .feather."""

    def __init__(self, path: Path, format: TableFormat = PLAIN) -> None:
        self._path, self._format = path, format
        self.where = str(path)

    def names(self) -> list[str]:
        """The names of the columns."""
        return column_names(self._path, self._format)

    def parts(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> Iterator[TableRows]:
        """Some columns, some of them as numbers, some rows at a time; see `read_columns`."""
        with Progress(f"reading {self._path.name}", "rows") as progress:
            for part in read_column_parts(self._path, columns, blanks=True, numbers=numbers, format=self._format):
                yield part
                progress.advance(len(part))


class TextTable:
    """CSV in a text.

    Args:
        where: what to call it.
        text: the table.
        line: the line to name in messages, where it has a single row that came from there.
        format: how it is written.
    """

    def __init__(self, where: str, text: str, line: int | None = None, format: TableFormat = PLAIN) -> None:
        self._text, self._format = text, format
        self._line = line
        self.where = where

    def names(self) -> list[str]:
        """The names of the columns."""
        return names_of_text(Path(self.where), self._text, self._format)

    def parts(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> Iterator[TableRows]:
        """Some columns, some of them as numbers, all rows together; see `read_columns`."""
        found = columns_of_text(Path(self.where), self._text, columns, self._format, numbers)
        line = self._line
        yield found if line is None else dataclasses.replace(found, count_lines=lambda: [line] * len(found))


class MemoryTable:
    """A table in memory, see `to_arrow`."""

    def __init__(self, data: Any) -> None:
        self.where = "the data frame" if hasattr(data, "shape") else "the data"
        self._table = to_arrow(data, self.where)

    def names(self) -> list[str]:
        """The names of the columns."""
        return self._table.column_names

    def parts(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> Iterator[TableRows]:
        """Some columns, some of them as numbers, all rows together; see `read_columns`."""
        names = self.names()
        positions = [
            column if isinstance(column, int) else column_position(self.where, column, names, "it has")
            for column in columns
        ]
        batches = (
            [batch.column(position) for position in positions] for batch in self._table.to_batches(max_chunksize=_ROWS)
        )
        wanted = Wanted(columns, blanks=True, numbers=numbers)
        yield columns_of_arrow(self.where, [names[position] for position in positions], batches, wanted)


class Cells:
    """The cells of a column of a table as texts; it is read each time that they are iterated over."""

    def __init__(self, table: Table, column: Column) -> None:
        self._table, self._column = table, column

    def __iter__(self) -> Iterator[str]:
        for part in self._table.parts([self._column]):
            yield from (cell for (cell,) in part)


def as_tables(data: Any, format: TableFormat = PLAIN) -> list[Table]:
    """Paths, patterns and folders of tables, or a table in memory, as tables.

    Raises:
        TypeError, ValueError: as `as_paths`, `tables_of` and `to_arrow`.
        OSError: when a folder cannot be read.
    """
    if is_in_memory(data):
        return [MemoryTable(data)]
    return [FileTable(path, format) for path in tables_of(as_paths(data), needed=True)]
