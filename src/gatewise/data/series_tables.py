"""Where rows of time series come from: files, a text of CSV, a table in memory."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from gatewise.data.cells import column_position
from gatewise.data.files import as_paths
from gatewise.data.in_memory import is_in_memory, to_arrow
from gatewise.data.table_columns import TableRows
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import (
    Column,
    Wanted,
    column_names,
    columns_of_arrow,
    columns_of_text,
    names_of_text,
    read_columns,
)

_ROWS = 8192


class Table(Protocol):
    """Named columns of text or numbers; what is missing is an empty text."""

    @property
    def where(self) -> str: ...
    def names(self) -> list[str]: ...
    def rows(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> TableRows: ...


class FileTable:
    """A file: .csv, .tsv, .jsonl, .parquet, .arrow, .feather."""

    def __init__(self, path: Path, format: TableFormat = PLAIN) -> None:
        self._path, self._format = path, format
        self.where = str(path)

    def names(self) -> list[str]:
        """The names of the columns."""
        return column_names(self._path, self._format)

    def rows(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> TableRows:
        """Some columns, some of them as numbers; see `read_columns`."""
        return read_columns(self._path, columns, blanks=True, numbers=numbers, format=self._format)


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

    def rows(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> TableRows:
        """Some columns, some of them as numbers; see `read_columns`."""
        found = columns_of_text(Path(self.where), self._text, columns, self._format, numbers)
        line = self._line
        return found if line is None else dataclasses.replace(found, count_lines=lambda: [line] * len(found))


class MemoryTable:
    """A table in memory, see `to_arrow`."""

    def __init__(self, data: Any) -> None:
        self.where = "the data frame" if hasattr(data, "shape") else "the data"
        self._table = to_arrow(data, self.where)

    def names(self) -> list[str]:
        """The names of the columns."""
        return self._table.column_names

    def rows(self, columns: Sequence[Column], numbers: Collection[Column] = ()) -> TableRows:
        """Some columns, some of them as numbers; see `read_columns`."""
        names = self.names()
        positions = [
            column if isinstance(column, int) else column_position(self.where, column, names, "it has")
            for column in columns
        ]
        batches = (
            [batch.column(position) for position in positions] for batch in self._table.to_batches(max_chunksize=_ROWS)
        )
        wanted = Wanted(columns, blanks=True, numbers=numbers)
        return columns_of_arrow(self.where, [names[position] for position in positions], batches, wanted)


def as_tables(data: Any, format: TableFormat = PLAIN) -> list[Table]:
    """One path, several, or a table in memory, as tables.

    Raises:
        TypeError, ValueError: as `as_paths` and `to_arrow`.
    """
    return [MemoryTable(data)] if is_in_memory(data) else [FileTable(path, format) for path in as_paths(data)]
