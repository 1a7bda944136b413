"""What is read for prediction, from files or the standard input, and how answers are written."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise.data.tables import is_table, read_columns
from gatewise.data.text import decoded, read_text


def read_lines(paths: Sequence[Path], *, empty: bool = False) -> Iterator[str]:
    """The lines of text files, or of the standard input where there are none.

    Args:
        paths: the files.
        empty: whether lines without a word are read too.

    Raises:
        ValueError: when it is not UTF-8.
        OSError: when a file cannot be read.
    """
    for text in map(_text, paths or [None]):
        lines = text.removesuffix("\n").split("\n") if text else []
        yield from (line.removesuffix("\r") for line in lines if empty or line.strip())


def _text(path: Path | None) -> str:
    return read_text([path]) if path is not None else read_standard_input()


def read_standard_input() -> str:
    """All of the standard input.

    Raises:
        ValueError: when it is not UTF-8.
    """
    return decoded(Path("standard input"), sys.stdin.buffer.read())


def standard_input_lines() -> Iterator[str]:
    """The lines of the standard input as they come; bytes that are not UTF-8 are lone surrogates in them."""
    for number, line in enumerate(sys.stdin.buffer):
        text = line.decode("utf-8", "surrogateescape")
        yield text if number else text.removeprefix("\ufeff")


def read_texts(
    paths: Sequence[Path], text_column: str | Callable[[Path], str], *, empty: bool = False
) -> Iterator[str]:
    """Texts: a column of tables, the lines of other files.

    Args:
        paths: the files; the standard input where there are none.
        text_column: the column, or what tells it for a table.
        empty: whether lines without a word are read too.

    Raises:
        ValueError, OSError: as `read_lines` and `read_columns`.
    """
    if not paths:
        yield from read_lines(paths, empty=empty)
    for path in paths:
        if is_table(path):
            column = text_column if isinstance(text_column, str) else text_column(path)
            yield from (text for (text,) in read_columns(path, (column,), texts=(column,)))
        else:
            yield from read_lines([path], empty=empty)


def in_groups(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of so many; the last may be shorter.

    >>> list(in_groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    group: list[Any] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A JSON object per line.

    >>> print(*as_jsonl([{"label": "good", "probability": 0.5}]), end="")
    {"label": "good", "probability": 0.5}
    """
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def as_csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line of names and a line per row, quoted as in RFC 4180; what is a list or an object, as JSON.

    >>> print(*as_csv([{"text": "a, b", "label": "x"}]), sep="", end="")
    text,label
    "a, b",x
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        values = row.values()
        writer.writerow([json.dumps(value) if isinstance(value, list | dict) else value for value in values])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def written(rows: Iterable[Mapping[str, Any]], format: str | None) -> Iterator[str]:
    """Rows as text, in a format that any row can have.

    Raises:
        ValueError: for a format that it is not.
    """
    if format not in (None, "jsonl", "csv"):
        raise ValueError(f"format: expected jsonl or csv for this model, got {format}")
    return as_csv(rows) if format == "csv" else as_jsonl(rows)
