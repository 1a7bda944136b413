"""Paths given by users, and atomic writes: a reader sees the old content of a file or the new, never a part."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def as_path(name: str, value: object) -> Path:
    """The path that an argument is.

    Args:
        name: of the argument, for the message.
        value: what was passed for it.

    Raises:
        TypeError: when it is not a path.

    >>> as_path("folder", 5)
    Traceback (most recent call last):
    TypeError: folder: expected a path (a str or an os.PathLike), got int (5)
    """
    if isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str)):
        return Path(value)
    raise TypeError(f"{name}: expected a path (a str or an os.PathLike), got {type(value).__name__} ({value!r:.60})")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces its target only when complete and synchronised.

    The content goes to a hidden temporary file in the same folder, is synchronised to the disk and then renamed over
    ``path``. When the block raises (including for a full disk), ``path`` is unchanged and the temporary file removed.

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
    # A fixed name: the leftover of a killed process is overwritten by the next write.
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with errors_of(path, instead_of=temporary):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # it exists only after an exception
    _synchronise_folder(path.parent)


@contextmanager
def errors_of(path: str | os.PathLike[str], *, instead_of: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Make an `OSError` of the block name the target file.

    Errors of a full disk name no file, and the name of a temporary file does not help the user.

    Args:
        path: the target file.
        instead_of: the temporary file or folder used in its place; errors that name other files are not changed.
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
    """Check that a file can be written, before the work that produces it.

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


def check_folder(path: str | os.PathLike[str]) -> None:
    """Check that a folder can be made, or written to if it exists, before the work whose results it receives.

    Raises:
        OSError: when it cannot.
    """
    path = Path(path)
    above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))
    if not os.access(above, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(above))


def _synchronise_folder(folder: Path) -> None:
    # Only POSIX can open a folder, and requires this for the rename to reach the disk.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
