"""The text of tables of text, part by part, and as often as it is read."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

_SETTLED = 2.0
"""Seconds after which time stamps of file systems tell that a file was changed again."""


@dataclass(frozen=True)
class TableText:
    """The text of a table.

    Attributes:
        where: what to call the table.
        chunks: reads the text from its beginning, in parts of any length.
        version: of a file, what changes with its content; None for other texts, and for a file that has just been
            written, since time stamps are too coarse to tell further changes.
    """

    where: Path
    chunks: Callable[[], Iterator[str]] = field(compare=False)
    version: tuple[int, ...] | None = None

    @classmethod
    def of_file(cls, path: Path, chunks: Callable[[], Iterator[str]]) -> "TableText":
        """The text of a file."""
        try:
            found = path.stat()
        except OSError:  # reading it says why
            return cls(path, chunks)
        version = found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
        is_settled = S_ISREG(found.st_mode) and time.time() - found.st_mtime > _SETTLED
        return cls(path, chunks, version if is_settled else None)

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
