"""What every format of word vectors has in common: rows of a word and its numbers."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

import numpy as np


class Row(NamedTuple):
    """A word with its numbers, both still as they stand in the file.

    Attributes:
        word: in UTF-8, as it should be; nothing is decoded before someone wants to see it.
        numbers: what `Rows.numbers` reads.
        at: line (text) or byte of the unpacked content (binary) at which the row begins, for messages.
    """

    word: bytes
    numbers: bytes
    at: int


class Rows(ABC):
    """The rows of an open file, read once, from the first to the last.

    Every row is checked for its width and for numbers that are none; the numbers themselves are read only for the rows
    that someone wants.

    Args:
        path: the file, for messages.
        width: the number of numbers of a word, E.
        promised: the number of words that the header announces, None without a header.
        chunks: the content after the header.
        start: the line or byte at which that begins.
    """

    kind: ClassVar[str]
    place: ClassVar[str]

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

    def wrong(self, at: int, told: str) -> ValueError:
        """What to raise for a row."""
        return ValueError(f"{self.path}: {self.place} {at:,}: {told}")

    def not_finite(self, row: Row, values: np.ndarray) -> ValueError:
        """What to raise for a row whose numbers are not all finite."""
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        return self.wrong(
            row.at,
            f"expected finite float32 numbers after {shown(row.word)}, got {values[index]} as number {index + 1}",
        )


def shown(word: bytes) -> str:
    """A word for a message: quoted, not too long.

    >>> shown("naïve".encode()), shown(b"x" * 100)
    ("'naïve'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'")
    """
    text = word.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:40] + "…")
