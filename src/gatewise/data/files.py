"""Reading files, compressed or not."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterable
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


def as_paths(data: str | Path | Iterable[str | Path]) -> list[Path]:
    """One path or several, as a list.

    Raises:
        TypeError: when it is something else.
        ValueError: when there is none.
    """
    several = [data] if isinstance(data, str | Path) or not isinstance(data, Iterable) else list(data)
    for path in several:
        if not isinstance(path, str | Path):
            raise TypeError(f"data: expected paths of files, got {path!r:.60}; write data in memory to one first")
    if not several:
        raise ValueError("data: expected at least one file, got none")
    return [Path(path) for path in several]
