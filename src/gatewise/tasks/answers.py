"""What is read for prediction, from files or the standard input, and how answers are written."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gatewise.data.parquet import check_parquet
from gatewise.data.tables import is_table, read_columns
from gatewise.data.text import decoded, read_text

Answer = TypeVar("Answer")


def read_lines(paths: Sequence[Path]) -> Iterator[str]:
    """The lines of text files, or of the standard input where there are none; those without a word too.

    Raises:
        ValueError: when it is not UTF-8.
        OSError: when a file cannot be read.
    """
    for text in map(_text, paths or [None]):
        lines = text.removesuffix("\n").split("\n") if text else []
        yield from (line.removesuffix("\r") for line in lines)


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


def read_texts(paths: Sequence[Path], text_column: str | Callable[[Path], str]) -> Iterator[str]:
    """Texts: a column of tables, the lines of other files; those without a word too.

    Args:
        paths: the files; the standard input where there are none.
        text_column: the column, or what tells it for a table.

    Raises:
        ValueError, OSError: as `read_lines` and `read_columns`.
        MissingExtraError: when one is a Parquet file and pyarrow is not installed, before any is read.
    """
    check_parquet(paths)
    if not paths:
        yield from read_lines(paths)
    for path in paths:
        if is_table(path):
            column = text_column if isinstance(text_column, str) else text_column(path)
            yield from (text for (text,) in read_columns(path, (column,), texts=(column,)))
        else:
            yield from read_lines([path])


def answer_texts(texts: Sequence[str], answer: Callable[[list[str]], Iterable[Answer]]) -> list[Answer | None]:
    """The answers to texts; None for a text without a word, so that answers stay aligned with lines.

    >>> answer_texts(["one", " ", "two"], lambda texts: map(len, texts))
    [3, None, 3]
    """
    answers = iter(answer([text for text in texts if text.strip()]))
    return [next(answers) if text.strip() else None for text in texts]


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


def written(rows: Iterable[Mapping[str, Any]], format: str | None) -> Iterator[str]:
    """Rows as text, in a format that any row can have.

    Raises:
        ValueError: for a format that it is not.
    """
    if format not in (None, "jsonl", "csv"):
        raise ValueError(f"format: expected jsonl or csv for this model, got {format}")
    return as_csv(rows) if format == "csv" else as_jsonl(rows)
