"""The processors that control groups grant a process, of both versions; containers are limited by them."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_MOUNTS = "sys/fs/cgroup"


def quota(root: Path = _ROOT) -> int | None:
    """The processors that the process may use on average, rounded up; None where nothing limits it.

    The least of its own group and of all above it counts.

    Args:
        root: of the file system.
    """
    granted = [limit for folder in _groups(root) for limit in (_version_2(folder), _version_1(folder)) if limit]
    return min(granted, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the process's groups and those above them, as far as they are to be seen.

    In a container they may not be: then the group of the container stands at the mount point.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, group = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        names = ["cpu", "cpu,cpuacct", "cpuacct,cpu"] if "cpu" in controllers.split(",") else ["", "unified"]
        if controllers and "cpu" not in controllers.split(","):
            continue
        path = PurePosixPath(group.lstrip("/"))
        for mount in (root / _MOUNTS / name for name in names):
            yield from (mount / one for one in (path, *path.parents))


def _version_2(folder: Path) -> int | None:
    words = _words(folder / "cpu.max")
    return _processors(words[0], words[1]) if len(words) == 2 else None


def _version_1(folder: Path) -> int | None:
    words = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
    return _processors(words[0], words[1]) if len(words) == 2 else None


def _processors(granted: str, period: str) -> int | None:
    try:
        share = int(granted) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return math.ceil(share) if share > 0 else None  # -1 is none, in version 1


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []
