"""Reading a file in chunks, decompressing it if needed; detected from the first bytes, not from the name."""

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

CHUNK = 1 << 18


class _Content(Protocol):
    def read(self, size: int, /) -> bytes: ...


_PACKED: dict[bytes, tuple[str, Callable[[BinaryIO], _Content]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
}
_OTHERS = {
    b"PK\x03\x04": "a zip archive; unpack it and name the file in it",
    b"\xba\x16\x4f\x2f": "a fastText model; name the .vec file that fastText wrote beside it",
    b"\x80": "a Python pickle; gensim writes a readable file with save_word2vec_format",
    b"\x93NUMPY": "a NumPy array without words; expected a file of words and their numbers",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8 first (iconv does)",
}


def unpacked_chunks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The content of a file, plain, gzip, bzip2 or xz, in chunks of at most 256 KiB.

    Raises:
        ValueError: when the compressed data is cut off or damaged, or the file is of a known but unsupported kind.
        OSError: when it cannot be read.
    """
    with Path(path).open("rb") as file:
        start = file.peek(8)  # neither consumes nor seeks, so pipes work
        for magic, what in _OTHERS.items():
            if start.startswith(magic):
                raise ValueError(f"{path}: this is {what}")
        for magic, (name, unpack) in _PACKED.items():
            if start.startswith(magic):
                yield from _unpacked(path, name, unpack(file))
                return
        while chunk := file.read(CHUNK):
            yield chunk


def _unpacked(path: str | os.PathLike[str], name: str, content: _Content) -> Iterator[bytes]:
    done = 0
    while True:
        try:
            chunk = content.read(CHUNK)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the disk, not of the data
            state = "is cut off" if isinstance(error, EOFError) else f"is damaged ({error})"
            raise ValueError(
                f"{path}: the {name} data {state} somewhere after byte {done:,} of the unpacked content; "
                "fetch the file again"
            ) from None
        if not chunk:
            return
        yield chunk
        done += len(chunk)
