"""What is made of data once and kept in the cache: entries that are complete or absent, the oldest removed."""

import fcntl
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TypeVar

from gatewise.compiler import build_cache
from gatewise.progress import say

Content = TypeVar("Content")

LIMIT = "GATEWISE_CACHE_LIMIT"
_DEFAULT_LIMIT = 50.0
_GIGABYTE = 1e9
_KINDS = ("tokens", "examples", "splits", "vocabularies")
_USE = "used"
"""A file of each entry: its time is that of the last use, and a process that uses the entry has a lock on it."""

_in_use: dict[Path, int] = {}


def folder_of(kind: str) -> Path:
    """The part of the cache for one kind of entries, made if necessary.

    Raises:
        OSError: when it cannot be made, belongs to another user, or others can write to it.
        ValueError: when the limit of the cache is not a number.
    """
    limit()
    try:
        path = build_cache.private_folder() / kind
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        hint = f"what is made of large data goes there; name a folder of your own with {build_cache.VARIABLE}"
        raise type(error)(error.errno, f"{error.strerror}; {hint}", error.filename) from None
    return path


def limit() -> float:
    """The bytes that all entries may have together.

    Raises:
        ValueError: when the environment variable is not a number.
    """
    written = os.environ.get(LIMIT, "")
    try:
        gigabytes = float(written) if written else _DEFAULT_LIMIT
    except ValueError:
        gigabytes = math.nan
    if not gigabytes >= 0:
        raise ValueError(f"{LIMIT}: expected a number of gigabytes, at least 0, got {written!r}")
    return gigabytes * _GIGABYTE


def find(kind: str, key: str, read: Callable[[Path], Content | None]) -> tuple[Content, Path] | None:
    """An entry and its folder, if the cache has it; nothing is made for that.

    Args:
        kind: the kind of entry.
        key: its name.
        read: reads a folder; None where it is incomplete.
    """
    try:
        if not (build_cache.folder() / kind / key).is_dir():
            return None
        folder = folder_of(kind) / key
    except OSError:
        return None  # there is no cache, or others can write to it
    _mark_used(folder)
    content = read(folder)
    return None if content is None else (content, folder)


def find_or_make(
    kind: str, key: str, read: Callable[[Path], Content | None], make: Callable[[Path], object], what: str
) -> tuple[Content, Path]:
    """An entry and its folder, made if the cache does not have it: once, where several processes want it.

    Args:
        kind, key, read: see `find`.
        make: writes it to an empty folder.
        what: what that does with what, for people, such as "encodes the same text".

    Raises:
        OSError: when the cache cannot be written.
    """
    folder = folder_of(kind) / key
    with _exclusively(folder, what):
        found = find(kind, key, read)
        if found is None:
            with work_folder(kind) as work:
                make(work)
                return publish(kind, key, work, read)
    return found


@contextmanager
def work_folder(kind: str) -> Iterator[Path]:
    """A folder for an entry until `publish`; it is removed after the block."""
    above = folder_of(kind)
    build_cache.remove_leftovers(above)
    with TemporaryDirectory(prefix=build_cache.WORK, dir=above, ignore_cleanup_errors=True) as work:
        yield Path(work)


@contextmanager
def folder_on_demand(kind: str, notice: str = "") -> Iterator[Callable[[], Path]]:
    """A `work_folder` that is made by the first call; nothing is made without one.

    Args:
        kind: the kind of entry.
        notice: what to print once it is made, with ``{}`` for where.
    """
    with ExitStack() as stack:

        @cache
        def make() -> Path:
            folder = stack.enter_context(work_folder(kind))
            if notice:
                say(notice.format(f"{folder.parent}, a folder of {build_cache.VARIABLE}"))
            return folder

        yield make


def mapped(kind: str, read: Callable[[Callable[[], Path]], Content], what: str = "") -> Content:
    """What is read into memory or, where it is too much for that, into files that are mapped.

    The files are unlinked once they are mapped, so that they disappear with the process, however it ends.

    Args:
        kind: the kind of entry.
        read: reads it, with a function that makes an empty folder for such files whenever it is called.
        what: what is read, for a notice of where it is written to; no notice by default.
    """
    with folder_on_demand(kind, f"{what}: too many for memory; written to {{}}" if what else "") as folder:
        return read(lambda: Path(mkdtemp(dir=folder())))


def publish(kind: str, key: str, work: Path, read: Callable[[Path], Content | None]) -> tuple[Content, Path]:
    """Make an entry of a finished folder, unless the cache has it already; remove others beyond the limit.

    Raises:
        OSError: when the cache cannot be written.
    """
    folder = folder_of(kind) / key
    if read(folder) is None:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        _mark_used(work)  # before others see it, and may remove it
        with suppress(OSError):  # another process has just done the same
            os.rename(work, folder)
            _in_use[folder] = _in_use.pop(work)
    found = find(kind, key, read)
    if found is None:
        raise OSError(f"{folder}: was removed while it was in use; try again")
    remove_oldest()
    return found


def remove_oldest() -> None:
    """Remove the entries that were not used for longest, beyond the limit, but none that a process uses."""
    above = build_cache.folder()
    entries: list[tuple[float, int, Path]] = []
    for kind in _KINDS:
        for folder in (above / kind).glob("[!.]*"):
            with suppress(OSError):  # another process removes it too
                used = folder / _USE
                time = (used if used.exists() else folder).stat().st_mtime
                entries.append((time, sum(file.stat().st_size for file in folder.iterdir()), folder))
    total, most = sum(size for _, size, _ in entries), limit()
    for _, size, folder in sorted(entries):
        if total <= most:
            return
        if folder not in _in_use and _remove(folder):
            total -= size
            say(
                f"removed from the cache, as it has more than {most / _GIGABYTE:g} GB ({LIMIT}): {folder}, "
                f"{size / _GIGABYTE:,.3f} GB, which was not used for longest"
            )


def _mark_used(folder: Path) -> None:
    """Note that this process uses an entry, until it ends."""
    with suppress(OSError):  # a file system without locks, where nothing is ever removed
        used = os.open(folder / _USE, os.O_RDWR | os.O_CREAT, 0o600)
        if folder in _in_use:
            if os.path.samestat(os.fstat(used), os.fstat(_in_use[folder])):
                os.close(used)
                used = _in_use[folder]
            else:
                os.close(_in_use.pop(folder))
        os.utime(folder / _USE)
        fcntl.flock(used, fcntl.LOCK_SH)
        _in_use[folder] = used


def _remove(folder: Path) -> bool:
    """Remove an entry unless a process uses it."""
    try:
        with (folder / _USE).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            work = folder.with_name(f"{build_cache.WORK}{folder.name}")
            os.rename(folder, work)
    except OSError:
        return False
    shutil.rmtree(work, ignore_errors=True)
    return True


@contextmanager
def _exclusively(folder: Path, what: str) -> Iterator[None]:
    """One process at a time: the second, such as another rank, finds what the first has made."""
    path = folder.with_name(f"{build_cache.WORK}{folder.name}.lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process, which {what} into {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: it is made twice, and one result is dropped
            pass
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
