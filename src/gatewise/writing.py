"""Writing files so that a reader sees the old content or the new, never a half."""

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
        OSError: when the folder is missing or the disk is full.

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
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # it is there only where something was raised
    _synchronise_folder(path.parent)


def _synchronise_folder(folder: Path) -> None:
    # Only POSIX can open a folder; there the rename itself must reach the disk too.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
