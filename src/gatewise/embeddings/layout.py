"""Which format a file of word vectors has, detected from its content."""

import codecs
import os
from collections.abc import Callable, Iterator
from itertools import chain

from gatewise.embeddings.binary_rows import BinaryRows
from gatewise.embeddings.rows import Rows, quoted
from gatewise.embeddings.text_rows import LONGEST_LINE, TextRows, is_number, split_line
from gatewise.embeddings.unpacking import CHUNK, unpacked_chunks

_WIDEST = 1 << 16


def open_rows(path: str | os.PathLike[str]) -> Rows:
    """Open a file of word vectors in any supported format.

    A first line of two whole numbers is a header, the number of words and the width; what follows it is text or binary.
    Any other first line is a word and its numbers.

    Raises:
        ValueError: when the file is empty or its beginning is not in any supported format.
        OSError: when it cannot be read.
    """
    chunks = unpacked_chunks(path)
    head = _gather(b"", chunks, lambda held: b"\n" in held or len(held) > LONGEST_LINE).removeprefix(codecs.BOM_UTF8)
    if not head.strip():
        raise ValueError(f"{path}: the file is empty; expected words and their numbers")
    first, _, rest = head.partition(b"\n")
    fields = split_line(first)
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        # More digits than any count has are not read: Python rejects numbers of thousands of digits.
        promised, width = (int(field) if len(field) < 19 else 0 for field in fields)
        if promised < 1 or not 1 <= width <= _WIDEST:
            raise ValueError(
                f"{path}: line 1: expected the number of words, from 1, and of numbers for each, from 1 to "
                f"{_WIDEST:,}; got {quoted(first)}"
            )
        rest = _gather(rest, chunks, lambda held: len(held) >= CHUNK)
        content = chain([rest], chunks)
        if _is_text(rest, width):
            return TextRows(path, width, promised, content, start=2)
        return BinaryRows(path, width, promised, content, start=len(first) + 1)
    width = _numbers_at_the_end(fields)
    if not 1 <= width <= _WIDEST:
        raise ValueError(
            f"{path}: line 1: expected a word and its numbers, or the number of words and of numbers for each, "
            f"got {quoted(first)}"
        )
    return TextRows(path, width, None, chain([head], chunks), start=1)


def _gather(held: bytes, chunks: Iterator[bytes], enough: Callable[[bytes], bool]) -> bytes:
    while not enough(held) and (chunk := next(chunks, b"")):
        held += chunk
    return held


def _numbers_at_the_end(fields: list[bytes]) -> int:
    """Count the numeric fields at the end; the first field is a word in any case."""
    count = 0
    for field in reversed(fields[1:]):
        if not is_number(field):
            break
        count += 1
    return count


def _is_text(start: bytes, width: int) -> bool:
    """Whether rows are text: the first is a valid line, or at least more like text than like binary numbers.

    The second is for malformed text, whose error should name the line. Float32 numbers nearly always have bytes that no
    text has, but not always: 0.9 is ``fff?``.
    """
    fields = split_line(start.partition(b"\n")[0])
    numeric = [is_number(field) for field in fields]
    if len(fields) > width and all(numeric[-width:]):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    if any(ord(character) < 32 and character not in "\t\r\n" for character in text):
        return False
    return any(numeric[1:]) or len(start.partition(b" ")[2]) < 4 * width
