"""Text from files, strictly UTF-8."""

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gatewise.data.files import opened
from gatewise.progress import Progress

CHUNK = 1 << 22
"""Bytes that are read and decoded at a time."""
_BYTE_ORDER_MARK = "\ufeff"


class NotUtf8Error(ValueError):
    """A file is not UTF-8, or has NUL characters as files in other encodings have."""


def read_text(paths: Iterable[str | Path]) -> str:
    """The text of one or more UTF-8 files, one after the other as they are, without a leading byte order mark.

    Args:
        paths: the files, in order.

    Raises:
        ValueError: naming the file and the byte offset where it is not UTF-8, or the file that is empty.
        OSError: when a file cannot be read.
    """
    return "".join(_read(Path(path)) for path in paths)


def _read(path: Path) -> str:
    with Progress(f"reading {path.name}"):
        return "".join(text_chunks(path))


def text_chunks(path: Path, size: int = CHUNK, *, may_be_empty: bool = False) -> Iterator[str]:
    """The text of a UTF-8 file part by part, without a leading byte order mark.

    Args:
        path: the file.
        size: the number of bytes to read at a time; a character that this cuts in two belongs to the next part.
        may_be_empty: whether a file without text is no error.

    Raises:
        ValueError: naming the file and the location where it is not UTF-8, or has a NUL character, or the file that is
            empty.
        OSError: when it cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, first, empty = 0, True, True
    with opened(path) as file:
        while True:
            content = file.read(size)
            offset = read - len(decoder.getstate()[0])  # of what is decoded next: bytes of a cut character wait
            read += len(content)
            try:
                text = decoder.decode(content, final=not content)
            except UnicodeDecodeError as error:
                wrong = offset + error.start
                raise _not_utf8(path, wrong, error.object[error.start], _line_in(path, wrong), _head(path)) from None
            if (nul := text.find("\0")) >= 0:
                wrong = offset + len(text[:nul].encode())
                raise _nul(path, wrong, _line_in(path, wrong))
            if text and first:
                text, first = text.removeprefix(_BYTE_ORDER_MARK), False
            if text:
                empty = False
                yield text
            if not content:
                break
    if empty and not may_be_empty:
        raise ValueError(f"{path}: the file is empty; expected UTF-8 text")


class RepeatedChunks:
    """A text in parts that is read several times: what is little is kept from the first time on.

    Args:
        chunks: reads it from its beginning.
        most: how many characters are kept.
    """

    def __init__(self, chunks: Callable[[], Iterator[str]], most: int = 1 << 26) -> None:
        self._chunks = chunks
        self._most = most
        self._kept: list[str] | None = None

    def read(self) -> Iterator[str]:
        """The parts."""
        if self._kept is not None:
            yield from self._kept
            return
        found, size = list[str](), 0
        for chunk in self._chunks():
            size += len(chunk)
            if size <= self._most:
                found.append(chunk)
            else:
                found.clear()
            yield chunk
        if size <= self._most:
            self._kept = found


def decoded(path: Path, content: bytes) -> str:
    """The text that a file's content is, without a leading byte order mark.

    Raises:
        ValueError: naming the file and the location where it is not UTF-8, or has a NUL character.
    """
    try:
        text = content.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = _line(content, error.start)
        raise _not_utf8(path, error.start, content[error.start], line, content[:2]) from None
    nul = content.find(b"\0")
    if nul >= 0:
        raise _nul(path, nul, _line(content, nul))
    return text


def decoded_lines(where: Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Lines of bytes that are read once, such as those of the standard input, as text with their ends.

    Raises:
        ValueError: as `decoded`, once the line is reached.
    """
    offset, head = 0, b""
    for number, line in enumerate(lines, 1):
        head = head or line[:2]
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(where, offset + error.start, line[error.start], number, head) from None
        if (nul := line.find(b"\0")) >= 0:
            raise _nul(where, offset + nul, number)
        offset += len(line)
        yield text if number > 1 else text.removeprefix(_BYTE_ORDER_MARK)


def check_characters(text: str, where: str = "the text") -> str:
    """The text, once it is known to consist of characters.

    Args:
        text: the text.
        where: what to call it.

    Raises:
        TypeError: when it is not a text.
        ValueError: for half of a surrogate pair: JSON can have it, and Python reads a byte of the command line that is
            not UTF-8 so.
    """
    if not isinstance(text, str):
        raise TypeError(f"{where}: expected str, got {text!r:.60}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        point = ord(text[error.start])
        if 0xDC80 <= point <= 0xDCFF:
            found = f"the byte 0x{point - 0xDC00:02x}, which is not UTF-8, or half of a surrogate pair (U+{point:04X})"
        else:
            found = f"half of a surrogate pair (U+{point:04X})"
        raise ValueError(
            f"{where}: character {error.start + 1} is {found}; was a text cut, or encoded twice?"
        ) from None
    return text


def sha256(text: str) -> str:
    """The SHA-256 of the text in UTF-8, in hexadecimal: two runs with the same one read the same text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _not_utf8(path: Path, offset: int, byte: int, line: int, head: bytes) -> NotUtf8Error:
    option = " -f UTF-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
    return NotUtf8Error(
        f"{path}: line {line}: not UTF-8: byte 0x{byte:02x} at offset {offset}; convert the file to UTF-8 first "
        f"(iconv{option} does)"
    )


def _nul(path: Path, offset: int, line: int) -> NotUtf8Error:
    return NotUtf8Error(
        f"{path}: line {line}: a NUL byte at offset {offset}, which text does not have; remove it, or convert the file "
        "to UTF-8 first if it is UTF-16 or UTF-32 (iconv does)"
    )


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _line_in(path: Path, offset: int) -> int:
    """The line of a byte of a file, which is read again up to there."""
    line = 1
    with opened(path) as file:
        while offset and (content := file.read(min(CHUNK, offset))):
            line += content.count(b"\n")
            offset -= len(content)
    return line


def _head(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(2)
