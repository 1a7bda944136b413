"""CSV and TSV through Arrow, block by block, where they are written as in RFC 4180.

Arrow's reader gives no lines, and accepts what `gatewise.data.delimited` rejects: `"a" b`, a quote that nothing
closes. So what is unusual is left to that reader, which says what is wrong and where, or reads it after all.
"""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.data.table_format import TableFormat
from gatewise.data.table_text import TableText
from gatewise.data.utf8_stream import UnusualTableError, Utf8Stream

if TYPE_CHECKING:
    import pyarrow

_BLOCK = 1 << 21
_QUOTE = ord('"')
_LINE_ENDS = b"\r\n"


def arrow_columns(
    table: TableText, kind: str, format: TableFormat, width: int, skip: int, positions: Sequence[int]
) -> Iterator[list["pyarrow.Array"]]:
    """Some columns of a table as text, some rows at a time.

    Args:
        table: the table.
        kind: ".csv" or ".tsv".
        format: how it is written.
        width: the number of fields of each row.
        skip: how many lines to skip.
        positions: the columns, from 0.

    Raises:
        UnusualTableError: when it is for the strict reader; blocks before may have been given.
        ValueError, OSError: as the text of the table.
    """
    import pyarrow
    from pyarrow import csv

    mark = format.mark(kind)
    if format.comments is not None or not mark.isascii():
        raise UnusualTableError
    names = [str(position) for position in range(width)]
    chosen = list(dict.fromkeys(names[position] for position in positions))
    quotes = _Quotes(mark.encode()) if kind == ".csv" else None
    stream = Utf8Stream(table.chunks(), _unchecked if quotes is None else quotes.check)
    try:
        reader = csv.open_csv(
            io.BufferedReader(stream, _BLOCK),
            csv.ReadOptions(column_names=names, skip_rows=skip, block_size=_BLOCK, use_threads=False),
            csv.ParseOptions(
                delimiter=mark,
                quote_char='"' if kind == ".csv" else False,
                newlines_in_values=kind == ".csv",
                invalid_row_handler=_blank_line,
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(chosen, pyarrow.string()), include_columns=chosen, strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield [batch.column(chosen.index(names[position])) for position in positions]
    except pyarrow.ArrowException:
        raise UnusualTableError from None


def _blank_line(row: Any) -> str:
    """What Arrow is to do with a row of another width."""
    return "skip" if row.actual_columns == 1 and not row.text.strip() else "error"


def _unchecked(content: bytes, last: bool) -> None:
    """TSV is not quoted."""


class _Quotes:
    """Checks that quotes are at the ends of fields, or doubled between them, and that each is closed."""

    def __init__(self, mark: bytes) -> None:
        ends = np.zeros(256, np.bool_)
        ends[[*mark, *_LINE_ENDS, _QUOTE]] = True
        self._may_be_beside = ends
        self._inside = False
        # What was read but not checked: its last byte, and the one before that. A text begins as a line does.
        self._tail = b"\n"

    def check(self, content: bytes, last: bool) -> None:
        """Check the next part of a text.

        Raises:
            UnusualTableError: for a quote elsewhere.
        """
        if b'"' not in content and b'"' not in self._tail:
            self._tail = (self._tail + content)[-2:]
            if last and self._inside:
                raise UnusualTableError
            return
        data = np.frombuffer(self._tail + content + b"\n" * last, np.uint8)
        # The first byte was checked, or is the line end before the text; the last one needs that after it.
        quotes = np.flatnonzero(data[1:-1] == _QUOTE) + 1
        first = int(self._inside)
        opening, closing = quotes[first::2], quotes[1 - first :: 2]
        beside = self._may_be_beside
        if not (beside[data[opening - 1]].all() and beside[data[closing + 1]].all()):
            raise UnusualTableError
        self._inside ^= len(quotes) % 2 == 1
        if last and self._inside:
            raise UnusualTableError
        self._tail = (self._tail + content)[-2:]
