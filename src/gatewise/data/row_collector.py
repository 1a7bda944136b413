"""Rows that are collected in memory while they are few, and in files once they are many."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.row_store import Field, RowStore, RowWriter

IN_MEMORY = 1 << 26
"""Bytes of rows that are kept in memory; more are written to files."""


class RowCollector:
    """A `RowWriter` to memory that continues in a folder once it has more than `IN_MEMORY` bytes.

    Args:
        fields: the fields by name.
        make_folder: makes an empty folder; None to keep all rows in memory.

    >>> rows = RowCollector({"tokens": Field("uint8")})
    >>> rows.append(tokens=[1, 2, 3])
    >>> rows.finish().row("tokens", 0).tolist()
    [1, 2, 3]
    """

    def __init__(self, fields: Mapping[str, Field], make_folder: Callable[[], Path] | None = None) -> None:
        self._fields = dict(fields)
        self._make_folder = make_folder
        self._writer = RowWriter(fields)
        self._bytes = 0

    def append(self, **row: Any) -> None:
        """Add a row, see `RowWriter.append`.

        Raises:
            OSError: when a file cannot be written.
        """
        self._writer.append(**row)
        if self._make_folder is None:
            return
        self._bytes += sum(np.asarray(value).nbytes for value in row.values())
        if self._bytes > IN_MEMORY:
            self._continue_in(self._make_folder())
            self._make_folder = None

    def finish(self) -> RowStore:
        """The rows."""
        return self._writer.finish()

    def _continue_in(self, folder: Path) -> None:
        rows = self._writer.finish()
        self._writer = RowWriter(self._fields, folder)
        for number in range(len(rows)):
            self._writer.append(
                **{
                    name: rows.row(name, number) if field.ragged else rows.column(name)[number]
                    for name, field in self._fields.items()
                }
            )
