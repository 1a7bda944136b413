"""The processor quota of control groups, version 1 and 2, which limit containers."""

import math
from pathlib import Path

from gatewise.kernels.cpu.control_groups import control_groups, words_of

_ROOT = Path("/")


def quota(root: Path = _ROOT) -> int | None:
    """The average number of processors the process may use, rounded up; None if unlimited.

    The smallest limit of its group and all parent groups applies.

    Args:
        root: root of the file system.
    """
    folders = control_groups("cpu", root)
    granted = [limit for folder in folders for limit in (_version_2(folder), _version_1(folder)) if limit]
    return min(granted, default=None)


def _version_2(folder: Path) -> int | None:
    words = words_of(folder / "cpu.max")
    return _processors(words[0], words[1]) if len(words) == 2 else None


def _version_1(folder: Path) -> int | None:
    words = [*words_of(folder / "cpu.cfs_quota_us"), *words_of(folder / "cpu.cfs_period_us")]
    return _processors(words[0], words[1]) if len(words) == 2 else None


def _processors(granted: str, period: str) -> int | None:
    try:
        share = int(granted) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return math.ceil(share) if share > 0 else None  # -1 is none, in version 1
