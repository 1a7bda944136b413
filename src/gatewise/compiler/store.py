"""Where compiled cells are kept: a folder that nobody else can write to, of files that are whole or not there.

A library that is loaded runs with the user's rights, so nothing is read from a folder or file that others can write.
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
WORK = ".work-"  # begins the names of what is not finished
_DIGEST = sha256().digest_size
_OLD = 24 * 60 * 60  # seconds


def folder() -> Path:
    """The folder: that of the environment variable ``GATEWISE_CACHE``, or ``gatewise`` in the user's cache folder.

    Raises:
        OSError: when there is no such variable and the user has no home, as a user without a name in a container.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # its specification has relative ones ignored
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise OSError(errno.ENOENT, "the user has no home folder", base)
    return Path(base) / "gatewise"


def private_folder() -> Path:
    """The folder, made if need be.

    Raises:
        OSError: when it cannot be made, belongs to somebody else, or others can write to it.
    """
    path = folder()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(path)
    return path


def is_whole(path: Path) -> bool:
    """Whether there is a library with this name, complete and as it was kept.

    Raises:
        OSError: when somebody else owns it or can write to it.
    """
    try:
        _check_private(path)
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def keep(content: bytes, path: Path) -> None:
    """Write a library under its name, at once: another process sees all of it or what was there before.

    Its digest follows it, which loaders do not look at. A library that was cut off can end the process that loads it.
    """
    descriptor, unfinished = tempfile.mkstemp(prefix=WORK, dir=path.parent)  # for its owner alone
    try:
        with open(descriptor, "wb") as file:
            file.write(content + sha256(content).digest())
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove what processes left in the folder that were killed while they compiled."""
    for left in path.glob(f"{WORK}*"):
        try:
            if time.time() - left.lstat().st_mtime > _OLD:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        except OSError:
            continue  # another process was faster


def _check_private(path: Path) -> None:
    about = path.stat()
    if about.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"belongs to another user (number {about.st_uid})", str(path))
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "can be written by others (chmod go-w)", str(path))
