"""How answers are written: JSON lines, CSV and Parquet, and which of them the name of a file asks for."""

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

Endings = Mapping[str, tuple[str, ...]]
"""By the name of a format the endings of the files that have it."""

ROW_FORMATS: Endings = {"jsonl": (".jsonl",), "csv": (".csv",), "parquet": (".parquet",)}
"""The formats that any rows can have."""

_GROUP = 10_000
"""Rows that become a part of an Arrow table together."""

_PIECE = 1 << 20
"""Bytes of a file that are read together."""


def format_of(out: Path, formats: Endings, given: str | None = None) -> str:
    """The format that a file is to have.

    Args:
        out: the file.
        formats: those that the model writes.
        given: the one that the user asked for, if any: the name may then end in anything that does not contradict it.

    Raises:
        ValueError: when the ending is none of these and no format is given, or it is that of another format.
    """
    ending = out.suffix.lower()
    found = next((name for name, endings in formats.items() if ending in endings), None)
    if given is None and found is None:
        known = ", ".join(known for endings in formats.values() for known in endings)
        raise ValueError(
            f"--out {out}: expected a name that ends in one of {known}, got {out.name!r}; rename it, or name its "
            "format with --format"
        )
    if given is not None and found not in (None, given):
        raise ValueError(f"--out {out}: the name says {found}, and --format says {given}; change one of them")
    return given or str(found)


def written(rows: Iterable[Mapping[str, Any]], format: str | None) -> Iterator[str] | Iterator[bytes]:
    """Rows as the content of a file, piece by piece, at least one for each row.

    Args:
        rows: the rows, all with the same names.
        format: one of `ROW_FORMATS`; by default "jsonl". Parquet is binary, the others are text.

    Raises:
        ValueError: for a format that it is not.
    """
    if format not in (None, *ROW_FORMATS):
        *others, last = ROW_FORMATS
        raise ValueError(f"format: expected {', '.join(others)} or {last} for this model, got {format}")
    if format == "parquet":
        return as_parquet(rows)
    return as_csv(rows) if format == "csv" else as_jsonl(rows)


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A JSON object per line.

    >>> print(*as_jsonl([{"label": "good", "probability": 0.5}]), end="")
    {"label": "good", "probability": 0.5}
    """
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def as_csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line of names and a line per row, quoted as in RFC 4180.

    A list or an object has a column for each of its members, named after both. All rows must have the same columns.

    >>> print(*as_csv([{"text": "a, b", "values": [1, 2], "of": {"x": 0.5, "y": None}}]), sep="", end="")
    text,values_1,values_2,of_x,of_y
    "a, b",1,2,0.5,
    """
    names: list[str] = []
    for row in rows:
        cells = dict(_cells(row))
        if not names:
            names = list(cells)
            yield _csv_line(names)
        if list(cells) != names:
            raise RuntimeError(f"rows of different columns: {', '.join(names)} and {', '.join(cells)}")
        yield _csv_line(cells.values())


def as_parquet(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The bytes of a Parquet file; lists and objects stay what they are, as in JSON lines.

    What is missing at first may be of any type later. So groups of rows wait in a temporary file until the types of all
    are known, while every row has an empty piece; at no time is more than one group in memory.
    """
    with tempfile.TemporaryFile() as waiting, tempfile.TemporaryFile() as content:
        groups = _Groups(waiting)
        group: list[Mapping[str, Any]] = []
        for row in rows:
            group.append(row)
            if len(group) == _GROUP:
                groups.add(group)
                group = []
            yield b""
        groups.add(group)
        groups.write_parquet(content)
        content.seek(0)
        while piece := content.read(_PIECE):
            yield piece


class _Groups:
    """Groups of rows in a file of Arrow's, a stream for each run of groups with the same types."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._schemas: list[pyarrow.Schema] = []
        self._stream: Any = None

    def add(self, rows: list[Mapping[str, Any]]) -> None:
        """Append a group."""
        import pyarrow
        from pyarrow import ipc

        table = pyarrow.Table.from_pylist(rows)
        if not self._schemas or table.schema != self._schemas[-1]:
            self._close()
            self._schemas.append(table.schema)
            self._stream = ipc.new_stream(self._file, table.schema)
        self._stream.write_table(table)

    def write_parquet(self, file: IO[bytes]) -> None:
        """Write all of them, with the types of all together."""
        import pyarrow
        from pyarrow import ipc, parquet

        self._close()
        self._file.seek(0)
        schema = pyarrow.unify_schemas(self._schemas, promote_options="permissive")
        with parquet.ParquetWriter(file, schema) as writer:
            for _ in self._schemas:
                for batch in ipc.open_stream(self._file):
                    tables = [schema.empty_table(), pyarrow.Table.from_batches([batch])]
                    writer.write_table(pyarrow.concat_tables(tables, promote_options="permissive"))

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _cells(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        name = before + key
        if isinstance(value, Mapping):
            yield from _cells(value, f"{name}_")
        elif isinstance(value, list):
            yield from _cells({str(number): item for number, item in enumerate(value, 1)}, f"{name}_")
        else:
            yield name, value


def _csv_line(cells: Iterable[Any]) -> str:
    buffer = io.StringIO()
    # With another end of lines the module would leave a carriage return in a cell unquoted.
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"
