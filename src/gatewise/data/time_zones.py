"""Local time and UTC: offsets of a time zone, and the hour that comes twice."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.arrow_compute import arrow_compute

Stamps = NDArray[np.datetime64]
"""(n,) datetime64[us]."""


def check_zone(zone: str) -> None:
    """Check the name of a time zone.

    Raises:
        ValueError: when there is none of that name.
    """
    import pyarrow

    try:
        to_local(np.zeros(1, "M8[us]"), zone)
    except pyarrow.ArrowException:
        raise ValueError(
            f"time_zone: expected the name of a time zone, such as Europe/Berlin or UTC, got {zone!r}"
        ) from None


def to_local(stamps: Stamps, zone: str) -> Stamps:
    """The local times at instants in UTC.

    >>> to_local(np.array(["2020-10-25T00:30", "2020-10-25T01:30"], "M8[us]"), "Europe/Berlin").astype("M8[m]").tolist()
    [datetime.datetime(2020, 10, 25, 2, 30), datetime.datetime(2020, 10, 25, 2, 30)]
    """
    import pyarrow

    instants = pyarrow.array(stamps, pyarrow.timestamp("us", "UTC")).cast(pyarrow.timestamp("us", zone))
    return arrow_compute().local_timestamp(instants).to_numpy(zero_copy_only=False)


def to_utc(stamps: Stamps, zone: str) -> tuple[Stamps, Stamps]:
    """The instants in UTC at which a local time comes first and last; they differ where it comes twice.

    >>> first, last = to_utc(np.array(["2020-10-25T02:30", "2020-10-25T03:30"], "M8[us]"), "Europe/Berlin")
    >>> (last - first).astype("m8[h]").astype(int).tolist()
    [1, 0]
    """
    return _instants(stamps, zone, "earliest"), _instants(stamps, zone, "latest")


def missing_in(stamps: Stamps, zone: str) -> NDArray[np.bool_]:
    """Which local times do not exist, since clocks are put forward over them.

    >>> missing_in(np.array(["2020-03-29T02:30", "2020-03-29T03:30"], "M8[us]"), "Europe/Berlin").tolist()
    [True, False]
    """
    return to_local(_instants(stamps, zone, "earliest"), zone) != stamps


def _instants(stamps: Stamps, zone: str, which: str) -> Stamps:
    import pyarrow

    local = pyarrow.array(stamps, pyarrow.timestamp("us"))
    instants: Any = arrow_compute().assume_timezone(local, zone, ambiguous=which, nonexistent=which)
    return instants.cast(pyarrow.timestamp("us", "UTC")).to_numpy(zero_copy_only=False)


def in_order(first: Stamps, last: Stamps) -> tuple[Stamps, int | None]:
    """The instants of rows in the order of time, some of which have local times that come twice.

    Rows with such a time that are adjacent are those of one doubled hour: they ascend, fall back once, and ascend
    again. Before the fall it is the first of both hours, after it the second.

    Args:
        first, last: (n,), see `to_utc`, in the order of rows.

    Returns:
        the instants, and a row of which the order does not say which one it is, None if it says so of all.

    >>> local = np.array(["2020-10-25T02:00", "2020-10-25T02:30"] * 2, "M8[us]")
    >>> found, unknown = in_order(*to_utc(local, "Europe/Berlin"))
    >>> np.diff(found).astype("m8[m]").astype(int).tolist(), unknown
    ([30, 30, 30], None)
    """
    if len(first) and first[0] > first[-1]:  # the newest row is the first one
        found, unknown = in_order(first[::-1], last[::-1])
        return found[::-1], None if unknown is None else len(first) - 1 - unknown
    found = first.copy()
    doubled = np.flatnonzero(first != last)
    for rows in np.split(doubled, np.flatnonzero(np.diff(doubled) != 1) + 1) if len(doubled) else []:
        falls = np.flatnonzero(first[rows[1:]] <= first[rows[:-1]])
        if len(falls) != 1:
            return found, int(rows[0])
        second = rows[falls[0] + 1 :]
        found[second] = last[second]
    return found, None
