"""Rows sorted by the group that they belong to, in memory or in a file that is mapped into memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data import row_collector
from gatewise.data.mapped import Mapped

_BLOCK = 1 << 18
"""Rows that are sorted at a time."""


def rows_by_group(
    groups: NDArray[np.integer[Any]], count: int, make_folder: Callable[[], Path] | None = None
) -> Mapped[int, NDArray[np.int64]]:
    """Of each group the numbers of its rows, in order.

    Counting sort: little more than a block of rows is in memory where their numbers are written to a file.

    Args:
        groups: (R,), the group of each row.
        count: the number of groups, each of which has a row.
        make_folder: makes an empty folder for that file, which is written for many rows; None to keep all in memory.

    Raises:
        OSError: when the file cannot be written.

    >>> [rows.tolist() for rows in rows_by_group(np.array([0, 1, 0, 2, 1]), 3)]
    [[0, 2], [1, 4], [3]]
    """
    blocks = range(0, len(groups), _BLOCK)
    sizes = np.zeros(count, np.int64)
    for start in blocks:
        sizes += np.bincount(groups[start : start + _BLOCK], minlength=count)
    ends = np.cumsum(sizes)
    free = ends - sizes
    if make_folder is None or 8 * len(groups) <= row_collector.IN_MEMORY:
        order = np.empty(len(groups), np.int64)
    else:
        order = np.memmap(make_folder() / "order", np.int64, "w+", shape=groups.shape).view(np.ndarray)
    for start in blocks:
        block = groups[start : start + _BLOCK]
        rows = np.argsort(block, kind="stable")
        ordered = block[rows]
        # How many rows of its group in this block come before each.
        before = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        order[free[ordered] + before] = start + rows
        free += np.bincount(block, minlength=count)
    return Mapped(range(count), lambda group: order[ends[group] - sizes[group] : ends[group]])
