"""The text of tables of text, part by part, and as often as it is read."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TableText:
    """The text of a table.

    Attributes:
        where: what to call the table.
        chunks: reads the text from its beginning, in parts of any length.
    """

    where: Path
    chunks: Callable[[], Iterator[str]]

    @classmethod
    def of(cls, where: Path, text: str) -> "TableText":
        """A text in memory."""
        return cls(where, lambda: iter((text,)))

    def lines(self, newline: str = "") -> Iterator[str]:
        """Its lines, see `lines_of`."""
        return lines_of(self.chunks(), newline)


def lines_of(chunks: Iterable[str], newline: str = "") -> Iterator[str]:
    r"""The lines of a text in parts, each with its end.

    Args:
        chunks: the parts.
        newline: where lines end; an empty text for any of "\n", "\r\n" and "\r".

    >>> list(lines_of(["one\r", "\ntw", "o\rthree"]))
    ['one\r\n', 'two\r', 'three']
    """
    rest = ""
    for chunk in chunks:
        *lines, rest = io.StringIO(rest + chunk, newline=newline) if rest or chunk else [""]
        yield from lines
    if rest:
        yield rest
