"""Time stamps as text: read strictly, written again in the form they came in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

Stamps = np.ndarray[Any, np.dtype[Any]]
"""(n,) datetime64[us], or float64 where time is counted in numbers."""

_MONTH = re.compile(r"\d{4}-\d{2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class TimeForm:
    """How the time stamps of a table are written.

    Attributes:
        written: "number", or a format of `datetime.strftime`.
        given: whether the user gave that format; otherwise stamps are read as ISO 8601.
        zoned: whether they have a distance from UTC; then they are read, and written, in UTC.
    """

    written: str
    given: bool = False
    zoned: bool = False

    @classmethod
    def of(cls, text: str, given: str | None = None) -> "TimeForm | None":
        """The form of a time stamp; None where it is not one.

        >>> TimeForm.of("1749-01").written, TimeForm.of("2020-05-01T06:00").written, TimeForm.of("17").written
        ('%Y-%m', '%Y-%m-%dT%H:%M', 'number')
        """
        if given is not None:
            form = cls(given, given=True)
            return form if form._read(text) is not None else None
        if _number(text) is not None:
            return cls("number")
        try:
            zoned = _iso(text).tzinfo is not None
        except ValueError:
            return None
        if _MONTH.fullmatch(text):
            return cls("%Y-%m")
        if _DATE.fullmatch(text):
            return cls("%Y-%m-%d")
        separator = "T" if "T" in text else " "
        clock = "%H:%M:%S.%f" if "." in text else "%H:%M:%S" if text.count(":") - (2 if zoned else 0) >= 2 else "%H:%M"
        return cls(f"%Y-%m-%d{separator}{clock}{'+00:00' if zoned else ''}", zoned=zoned)

    @property
    def counts(self) -> bool:
        """Whether time is a number, of which no calendar knows."""
        return self.written == "number"

    def read(self, texts: Sequence[str], where: str) -> Stamps:
        """The time stamps that texts are.

        Raises:
            ValueError: for one that is none, naming its row.
        """
        found: list[Any] = []
        for row, text in enumerate(texts, 1):
            value = self._read(text)
            if value is None:
                raise ValueError(
                    f"{where}: row {row}: {text!r} is no time stamp like those before it; expected "
                    + ("a number" if self.counts else self.written if self.given else "ISO 8601 (2020-05-31 06:00)")
                )
            found.append(value)
        return np.array(found, "f8" if self.counts else "M8[us]")

    def write(self, stamp: Any) -> str:
        """A time stamp as text."""
        if self.counts:
            return f"{float(stamp):.12g}"
        return stamp.astype("M8[us]").item().strftime(self.written)

    def _read(self, text: str) -> datetime | float | None:
        if self.counts:
            return _number(text)
        try:
            stamp = datetime.strptime(text, self.written) if self.given else _iso(text)
        except ValueError:
            return None
        if not self.given and (stamp.tzinfo is not None) != self.zoned:
            return None  # with and without a zone: which comes first cannot be told
        return stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo is not None else stamp


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
