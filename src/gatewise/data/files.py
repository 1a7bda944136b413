"""Reading files, compressed or not, and finding them."""

import bz2
import glob
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_OPEN = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_PATTERN = frozenset("*?[")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its content, decompressed where its name ends in .gz, .xz or .bz2.

    Raises:
        ValueError: when it is not compressed so, or corrupt.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        decompress = _OPEN.get(path.suffix.lower())
        if decompress is None:
            yield file
            return
        try:
            with decompress(file, "rb") as content:
                yield content
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ValueError(f"{path}: not a {path.suffix} file, or a corrupt one ({error})") from None


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in .gz, .xz or .bz2.

    Raises:
        ValueError: when it is not compressed so, or corrupt.
        OSError: when it cannot be read.
    """
    with opened(path) as file:
        return file.read()


def as_paths(data: str | Path | Iterable[str | Path]) -> list[Path]:
    """One path or several, as a list.

    Raises:
        TypeError: when it is something else.
        ValueError: when there is none.
    """
    several = [data] if isinstance(data, str | Path) or not isinstance(data, Iterable) else list(data)
    for path in several:
        if not isinstance(path, str | Path):
            raise TypeError(f"data: expected paths of files, or a table in memory, got {path!r:.60}")
    if not several:
        raise ValueError("data: expected at least one file, got none")
    return [Path(path) for path in several]


def files_below(folder: Path, whole: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """The files of a folder and of those in it, in the order of their paths.

    Hidden files, and links to folders, which may form cycles, are skipped.

    Args:
        folder: the folder.
        whole: tells whether a folder in it is listed itself.

    Raises:
        OSError: when a folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir() or (not path.is_symlink() and whole(path)):
            yield path
        elif not path.is_symlink():
            yield from files_below(path, whole)


def matching(path: Path) -> list[Path]:
    """The paths that a pattern such as ``corpus/*.txt.gz`` matches, in order; a path that exists is taken as it is.

    ``**`` matches folders at any depth. Hidden files match only a pattern that begins with a dot.

    Raises:
        ValueError: when nothing matches.
    """
    if not _PATTERN.intersection(str(path)) or path.exists():
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise ValueError(f"{path}: no file matches this pattern")
    return [Path(name) for name in found]
