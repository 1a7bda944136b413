"""The interface of all formats of word vectors: rows of a word and its numbers."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

import numpy as np


class Row(NamedTuple):
    """A word with its numbers, both as raw bytes of the file.

    Attributes:
        word: expected to be UTF-8; not decoded until it is needed.
        numbers: the input of `Rows.numbers`.
        position: line (text) or byte of the unpacked content (binary) at which the row begins, for messages.
    """

    word: bytes
    numbers: bytes
    position: int


class Rows(ABC):
    """The rows of an open file, read once, from the first to the last.

    The width and the characters of every row are checked; numbers are parsed only for the rows that are used.

    Args:
        path: the file, for messages.
        width: the number of numbers of a word, E.
        promised: the number of words given in the header; None without a header.
        chunks: the content after the header.
        start: the line or byte at which that begins.
    """

    kind: ClassVar[str]
    position_unit: ClassVar[str]

    def __init__(
        self, path: str | os.PathLike[str], width: int, promised: int | None, chunks: Iterable[bytes], start: int
    ) -> None:
        self.path = path
        self.width = width
        self.promised = promised
        self._chunks = chunks
        self._start = start

    @abstractmethod
    def __iter__(self) -> Iterator[Row]:
        """Each row, checked."""

    @abstractmethod
    def numbers(self, row: Row) -> np.ndarray:
        """The numbers of a row, (E,) float32, all finite."""

    def error(self, position: int, message: str) -> ValueError:
        """The error for a row."""
        return ValueError(f"{self.path}: {self.position_unit} {position:,}: {message}")

    def not_finite(self, row: Row, values: np.ndarray) -> ValueError:
        """The error for a row whose numbers are not all finite."""
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        return self.error(
            row.position,
            f"expected finite float32 numbers after {quoted(row.word)}, got {values[index]} as number {index + 1}",
        )


def quoted(word: bytes) -> str:
    """A word for a message, quoted and truncated.

    >>> quoted("naïve".encode()), quoted(b"x" * 100)
    ("'naïve'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'")
    """
    text = word.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:40] + "…")
