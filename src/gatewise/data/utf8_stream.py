"""A text in parts as a file of UTF-8, for readers that take files."""

import io
from collections.abc import Callable, Iterable
from typing import Any


class UnusualTableError(Exception):
    """A table is malformed, or written in a way that Arrow would read otherwise than the strict readers."""


class Utf8Stream(io.RawIOBase):
    """A text in UTF-8, each part of which is checked before it is read.

    Args:
        chunks: the text.
        check: receives each part, and whether it is the last one, which is empty; raises what reading is to raise.
    """

    def __init__(self, chunks: Iterable[str], check: Callable[[bytes, bool], None]) -> None:
        self._chunks = iter(chunks)
        self._check = check
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            content = b"" if chunk is None else chunk.encode()
            self._check(content, chunk is None)
            if chunk is None:
                return 0
            self._rest = memoryview(content)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
