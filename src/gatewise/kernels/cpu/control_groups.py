"""Control groups of Linux, of both versions, by which containers are limited. Standard library alone."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_MOUNTS = "sys/fs/cgroup"


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The folders of the process's groups and their parents, as far as they are visible.

    In a container they may not be: then the group of the container is at the mount point.

    Args:
        controller: "cpu" or "memory".
        root: root of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, group = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        if controllers and controller not in controllers.split(","):
            continue
        # Version 1 mounts a folder for each set of controllers, named in either order; version 2 has one for all.
        backwards = ",".join(reversed(controllers.split(",")))
        names = [controller, controllers, backwards] if controllers else ["", "unified"]
        path = PurePosixPath(group.lstrip("/"))
        for mount in (root / _MOUNTS / name for name in dict.fromkeys(names)):
            yield from (mount / one for one in (path, *path.parents))


def words_of(path: Path) -> list[str]:
    """The words in a file of a group; empty if there is no such file."""
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []
