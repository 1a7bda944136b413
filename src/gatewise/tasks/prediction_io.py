"""What is read for prediction, from files or the standard input."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.table_text import lines_of
from gatewise.data.tables import is_table, read_column_parts
from gatewise.data.text import decoded, decoded_lines, read_text, text_chunks

Prediction = TypeVar("Prediction")


def read_lines(paths: Sequence[Path]) -> Iterator[str]:
    """The lines of text files, or of the standard input where there are none; those without a word too.

    They are read one after another: an error is raised where it is reached.

    Raises:
        ValueError: when it is not UTF-8.
        OSError: when a file cannot be read.
    """
    for path in paths or [None]:
        if path is None:
            lines = decoded_lines(Path("standard input"), sys.stdin.buffer)
        else:
            lines = lines_of(text_chunks(path), "\n")
        yield from (line.removesuffix("\n").removesuffix("\r") for line in lines)


def read_standard_input() -> str:
    """All of the standard input.

    Raises:
        ValueError: when it is not UTF-8.
    """
    return decoded(Path("standard input"), sys.stdin.buffer.read())


def standard_input_lines() -> Iterator[str]:
    """The lines of the standard input, streaming; bytes that are not UTF-8 are lone surrogates in them."""
    for number, line in enumerate(sys.stdin.buffer):
        text = line.decode("utf-8", "surrogateescape")
        yield text if number else text.removeprefix("\ufeff")


def read_texts(
    paths: Sequence[Path], text_column: str | Callable[[Path], str], format: TableFormat = PLAIN
) -> Iterator[str]:
    """Texts: a column of tables, the lines of other files; those without a word too.

    Args:
        paths: the files; the standard input where there are none.
        text_column: the column, or what tells it for a table.
        format: how tables are written.

    Raises:
        ValueError, OSError: as `read_lines` and `read_column_parts`.
    """
    if not paths:
        yield from read_lines(paths)
    for path in paths:
        if is_table(path):
            column = text_column if isinstance(text_column, str) else text_column(path)
            for part in read_column_parts(path, (column,), texts=(column,), format=format):
                yield from (text for (text,) in part)
        else:
            yield from read_lines([path])


def first_text(paths: Sequence[Path], text_column: str | Callable[[Path], str], format: TableFormat = PLAIN) -> str:
    """The text of the first row of a table, or all the text of other files.

    Args:
        paths: the files.
        text_column, format: as for `read_texts`.

    Raises:
        ValueError, OSError: as `read_texts`.
    """
    return next(read_texts(paths, text_column, format)) if is_table(paths[0]) else read_text(paths)


def predict_texts(
    texts: Sequence[str], predict: Callable[[list[str]], Iterable[Prediction]]
) -> list[Prediction | None]:
    """The predictions for texts; None for a text without a word, so that predictions stay aligned with lines.

    >>> predict_texts(["one", " ", "two"], lambda texts: map(len, texts))
    [3, None, 3]
    """
    predictions = iter(predict([text for text in texts if text.strip()]))
    return [next(predictions) if text.strip() else None for text in texts]


def in_groups(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of `size`; the last may be shorter.

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
