"""Words and tags in tables: JSON lines and Parquet with a sentence in each row, as Hugging Face datasets have them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatewise.data.cells import cell_text, shortened
from gatewise.data.parquet import TYPED
from gatewise.data.tables import read_values

WORDS, TAGS = "tokens", "tags"
"""Names of the columns by default."""
_ENDINGS = (".jsonl", *TYPED)


def is_tagged_table(path: Path) -> bool:
    """Whether a file's name says that it is such a table."""
    return any(suffix.lower() in _ENDINGS for suffix in path.suffixes)


def read_lists(path: Path, *columns: str) -> Iterator[tuple[str, list[list[str]]]]:
    """The lists of text in some columns, each row with its location.

    Args:
        path: the table.
        *columns: their names.

    Raises:
        ValueError: when a column is missing or holds something else than lists of text, whose lengths are those of the
            first, or without any word; with the location.
        OSError: when it cannot be read.
    """
    empty = True
    for where, values in read_values(path, columns):
        lists = [_texts(value, where, column) for value, column in zip(values, columns, strict=True)]
        for column, one in zip(columns, lists, strict=True):
            if len(one) != len(lists[0]):
                raise ValueError(f"{where}: expected as many {column} as {columns[0]}, {len(lists[0])}, got {len(one)}")
        empty = empty and not lists[0]
        yield where, lists
    if empty:
        raise ValueError(f"{path}: there are no words in it; expected a list of them in each row")


def _texts(value: Any, where: str, column: str) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: {column!r}: expected a list of text, got {shortened(value)}")
    texts = [cell_text(one, where, column) for one in value]
    if not all(texts):
        raise ValueError(f"{where}: {column!r}: item {texts.index('') + 1} is empty; expected a word or tag")
    return texts
