"""How answers are written: JSON lines, CSV and Parquet, and which of them the name of a file asks for."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Endings = Mapping[str, tuple[str, ...]]
"""By the name of a format the endings of the files that have it."""

ROW_FORMATS: Endings = {"jsonl": (".jsonl",), "csv": (".csv",), "parquet": (".parquet",)}
"""The formats that any rows can have."""

_GROUP = 10_000
"""Rows that become a part of an Arrow table together."""


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

    What is missing at first may be of any type later, so the file is written once all rows are known: until then every
    row has an empty piece.
    """
    import pyarrow
    from pyarrow import parquet

    parts: list[Any] = []
    group: list[Mapping[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _GROUP:
            parts.append(pyarrow.Table.from_pylist(group))
            group = []
        yield b""
    table = pyarrow.concat_tables([*parts, pyarrow.Table.from_pylist(group)], promote_options="permissive")
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(table, buffer)
    yield buffer.getvalue().to_pybytes()


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
