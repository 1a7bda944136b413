"""Writing files so that a reader sees the old content or the new, never a half."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is complete and on the disk.

    The content goes to a hidden temporary file in the same folder, is synchronised to the disk and then renamed over
    ``path``. When the block raises (a full disk too), ``path`` is as it was and the temporary file is gone.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        the binary file to write to.

    Raises:
        OSError: when the folder is missing or the disk is full; it names ``path``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "greeting.txt") as file:
    ...         _ = file.write(b"hello")
    ...     (Path(folder) / "greeting.txt").read_text()
    'hello'
    """
    path = Path(path)
    # One fixed name: what a killed process left behind is overwritten by the next write.
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with errors_of(path, instead_of=temporary):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # it is there only where something was raised
    _synchronise_folder(path.parent)


@contextmanager
def errors_of(path: str | os.PathLike[str], *, instead_of: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Let an `OSError` of the block name the file that was to be written.

    A full disk names none, and what went wrong with a temporary file is of no use to its reader.

    Args:
        path: the file.
        instead_of: the temporary file or folder that stands for it; errors that name others are left as they are.
    """
    try:
        yield
    except OSError as error:
        named: Path | None = None if error.filename is None else Path(os.fsdecode(error.filename))
        if named is None:
            meant = Path(path)
        elif instead_of is not None and named.is_relative_to(instead_of):
            meant = Path(path) / named.relative_to(instead_of)
        else:
            raise
        raise OSError(error.errno, error.strerror, str(meant)) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written, before the long work whose result goes there.

    Raises:
        ValueError: when its folder does not exist, or it is a folder itself.
        OSError: when its folder cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; make it, or choose another --out")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; expected the name of a file to write")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _synchronise_folder(folder: Path) -> None:
    # Only POSIX can open a folder; there the rename itself must reach the disk too.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
