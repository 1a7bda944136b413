"""Text from files, strictly UTF-8, and its split into a training part and a held-out part."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from gatewise.data.files import read_bytes
from gatewise.progress import Progress


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
        text = decoded(path, read_bytes(path))
    if not text:
        raise ValueError(f"{path}: the file is empty; expected UTF-8 text")
    return text


def decoded(path: Path, content: bytes) -> str:
    """The text that a file's content is, without a leading byte order mark.

    Raises:
        ValueError: naming the file and the place where it is not UTF-8, or has a NUL character.
    """
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        form = " -f UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise ValueError(
            f"{path}: line {_line(content, error.start)}: not UTF-8: byte 0x{content[error.start]:02x} at offset "
            f"{error.start}; convert the file to UTF-8 first (iconv{form} does)"
        ) from None
    at = content.find(b"\0")
    if at >= 0:
        raise ValueError(
            f"{path}: line {_line(content, at)}: a NUL byte at offset {at}, which text does not have; remove it, or "
            "convert the file to UTF-8 first if it is UTF-16 or UTF-32 (iconv does)"
        )
    return text


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
            told = f"the byte 0x{point - 0xDC00:02x}, which is not UTF-8, or half of a surrogate pair (U+{point:04X})"
        else:
            told = f"half of a surrogate pair (U+{point:04X})"
        raise ValueError(f"{where}: character {error.start + 1} is {told}; was a text cut, or encoded twice?") from None
    return text


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def sha256(text: str) -> str:
    """The SHA-256 of the text in UTF-8, in hexadecimal: two runs with the same one read the same text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def split_by_position(text: str, held_out: float, *, at_line_end: bool) -> tuple[str, str]:
    r"""Split a text into what comes first, to train on, and the last share, held out.

    Args:
        text: the whole text.
        held_out: the share of characters to hold out, between 0 and 1.
        at_line_end: move the cut on to the next line end, so that no word is cut in two.

    >>> split_by_position("one two\nthree four\nfive", 0.5, at_line_end=True)
    ('one two\nthree four\n', 'five')
    >>> split_by_position("0123456789", 0.1, at_line_end=False)
    ('012345678', '9')
    """
    cut = len(text) - int(len(text) * held_out)
    if at_line_end:
        cut = text.find("\n", cut) + 1 or cut
    return text[:cut], text[cut:]
