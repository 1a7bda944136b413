"""Reading files, compressed or not."""

import bz2
import gzip
import lzma
import zlib
from pathlib import Path

_DECOMPRESS = {".gz": gzip.decompress, ".xz": lzma.decompress, ".bz2": bz2.decompress}


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in .gz, .xz or .bz2.

    Raises:
        ValueError: when it is not compressed so, or corrupt.
        OSError: when it cannot be read.
    """
    content = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    if decompress is None:
        return content
    try:
        return decompress(content)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{path}: not a {path.suffix} file, or a corrupt one ({error})") from None
