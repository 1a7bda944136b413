"""Where rows of time series come from: files, a text of CSV, a data frame."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from gatewise.data.cells import column_place
from gatewise.data.files import as_paths
from gatewise.data.tables import Column, TableRows, column_names, columns_of_text, names_of_text, read_columns


class Table(Protocol):
    """Rows of named columns, as text; what is missing is an empty text."""

    @property
    def where(self) -> str: ...
    def names(self) -> list[str]: ...
    def rows(self, columns: Sequence[Column]) -> TableRows: ...


class FileTable:
    """A file: .csv, .tsv, .jsonl, .parquet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path)

    def names(self) -> list[str]:
        """The names of the columns."""
        return column_names(self._path)

    def rows(self, columns: Sequence[Column]) -> TableRows:
        """Some columns, row by row."""
        return read_columns(self._path, columns, blanks=True)


class TextTable:
    """CSV in a text.

    Args:
        where: what to call it.
        text: the table.
        line: the line to name in messages, where it has a single row that came from there.
    """

    def __init__(self, where: str, text: str, line: int | None = None) -> None:
        self._text = text
        self._line = line
        self.where = where

    def names(self) -> list[str]:
        """The names of the columns."""
        return names_of_text(Path(self.where), self._text)

    def rows(self, columns: Sequence[Column]) -> TableRows:
        """Some columns, row by row."""
        found = columns_of_text(Path(self.where), self._text, columns)
        return found if self._line is None else dataclasses.replace(found, numbers=[self._line] * len(found))


class FrameTable:
    """A data frame of pandas or polars; an index that has a name, or consists of time stamps, is its first column."""

    where = "the data frame"

    def __init__(self, frame: Any) -> None:
        index = getattr(frame, "index", None)
        if index is not None and (index.name is not None or "datetime" in str(index.dtype)):
            frame = frame.reset_index()
        self._frame = frame

    def names(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self._frame.columns]

    def rows(self, columns: Sequence[Column]) -> TableRows:
        """Some columns, row by row."""
        names = self.names()
        places = [
            column if isinstance(column, int) else column_place(self.where, column, names, "it has")
            for column in columns
        ]
        values = [self._frame[self._frame.columns[place]].to_list() for place in places]
        rows = [tuple(map(_cell, row)) for row in zip(*values, strict=True)]
        if not rows:
            raise ValueError(f"{self.where}: there are no rows in it")
        return TableRows(self.where, "row", range(1, len(rows) + 1), rows)

    def to_csv(self) -> str:
        """The whole frame as CSV."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.names())
        writer.writerows(self.rows(self.names()))
        return buffer.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return "" if text in ("nan", "NaT", "<NA>") else text


def is_frame(data: object) -> bool:
    """Whether it is a data frame."""
    return hasattr(data, "columns") and hasattr(data, "shape")


def as_tables(data: Any) -> list[Table]:
    """One path, several, or a data frame, as tables.

    Raises:
        TypeError, ValueError: as `as_paths`.
    """
    return [FrameTable(data)] if is_frame(data) else [FileTable(path) for path in as_paths(data)]
