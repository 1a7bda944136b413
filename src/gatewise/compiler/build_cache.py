"""The cache of compiled cells: a private folder of libraries, each complete or absent.

A loaded library runs with the user's rights, so nothing is read from a folder or file that others can write to.
"""

import errno
import os
import shutil
import stat
import tempfile
import time
from hashlib import sha256
from pathlib import Path

VARIABLE = "GATEWISE_CACHE"
WORK = ".work-"  # prefix of unfinished files and folders
_DIGEST = sha256().digest_size
_OLD = 24 * 60 * 60  # seconds


def folder() -> Path:
    """The cache folder: the environment variable ``GATEWISE_CACHE``, or ``gatewise`` in the user's cache folder.

    Raises:
        OSError: when the variable is not set and the user has no home folder, as for an unnamed user in a container.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification ignores relative paths
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise OSError(errno.ENOENT, "the user has no home folder", base)
    return Path(base) / "gatewise"


def private_folder() -> Path:
    """The cache folder, created if necessary.

    Raises:
        OSError: when it cannot be created, belongs to another user, or others can write to it.
    """
    path = folder()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(path)
    return path


def is_complete(path: Path) -> bool:
    """Whether a library exists under this name, complete and unmodified.

    Raises:
        OSError: when another user owns it, or others can write to it.
    """
    try:
        _check_private(path)
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def write(content: bytes, path: Path) -> None:
    """Write a library atomically, followed by its digest.

    Loaders ignore the digest; without it, a truncated library would crash the process that loads it.
    """
    descriptor, unfinished = tempfile.mkstemp(prefix=WORK, dir=path.parent)  # readable by its owner only
    try:
        with open(descriptor, "wb") as file:
            file.write(content + sha256(content).digest())
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove files of processes that were killed while compiling."""
    for leftover in path.glob(f"{WORK}*"):
        try:
            if time.time() - leftover.lstat().st_mtime > _OLD:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        except OSError:
            continue  # already removed by another process


def _check_private(path: Path) -> None:
    status = path.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"belongs to another user (number {status.st_uid})", str(path))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "can be written by others (chmod go-w)", str(path))
