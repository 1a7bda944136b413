"""Time stamps as text: read strictly, written again in the form they came in."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timezone
from typing import Any

import numpy as np

from gatewise.data.date_numbers import DIGIT_FORMS, EPOCH_FORMS, date_form, read_digits, read_epoch, write_epoch
from gatewise.data.numerals import parse_number
from gatewise.data.table_columns import TextColumn
from gatewise.data.time_zones import to_local

Stamps = np.ndarray[Any, np.dtype[Any]]
"""(n,) datetime64[us], or float64 where time is counted in numbers."""

NUMBER = "number"
_CLOCK = re.compile("%[HIcXs]")
_MONTH = re.compile(r"\d{4}-\d{2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class TimeForm:
    """How the time stamps of a table are written.

    Attributes:
        written: "number"; one of `EPOCH_FORMS`; or a format of `datetime.strftime`.
        given: whether the user gave that format; otherwise it is one of `DIGIT_FORMS`, or stamps are read as ISO 8601.
        zoned: whether they have a distance from UTC; then they are read, and without a time zone written, in UTC.
        zone: the time zone that stamps without such a distance are in. All are then written in it, with the distance.
    """

    written: str
    given: bool = False
    zoned: bool = False
    zone: str | None = None

    @classmethod
    def of(cls, text: str, given: str | None = None) -> "TimeForm | None":
        """The form of a time stamp, of which one that is a number counts; None where it is not one.

        Args:
            text: the time stamp.
            given: the form, where the user gave it: "number", one of `EPOCH_FORMS` or a format of `datetime.strptime`.

        >>> TimeForm.of("1749-01").written, TimeForm.of("2020-05-01T06:00").written, TimeForm.of("17").written
        ('%Y-%m', '%Y-%m-%dT%H:%M', 'number')
        """
        if given is not None:
            form = cls(given, given=given != NUMBER)
            return form if form._read(text) is not None else None
        if _finite(text) is not None:
            return cls(NUMBER)
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

    @classmethod
    def of_all(cls, texts: Iterable[str], given: str | None = None, zone: str | None = None) -> "TimeForm | None":
        """The form of all time stamps of a table: numbers all of which are dates are read as such.

        Args:
            texts: the time stamps, one at least, which are iterated over twice.
            given: as for `of`.
            zone: their time zone, if it is given.

        Raises:
            ValueError: when the stamps of a time zone have no time of the day.

        >>> TimeForm.of_all(["202011", "202012"]).written, TimeForm.of_all(["202012", "202013"]).written
        ('%Y%m', 'number')
        """
        first = cls.of(next(iter(texts)), given)
        if given is None and first is not None and first.counts:
            form = date_form(texts)
            first = first if form is None else cls(form)
        return first if first is None or zone is None else first._in_zone(zone)

    def _in_zone(self, zone: str) -> "TimeForm":
        if self.written not in EPOCH_FORMS and not _CLOCK.search(self.written):
            raise ValueError(
                f"time_zone: the time stamps have no time of the day (they are read as {self.expected}), so they are "
                "the same in every time zone; leave it out"
            )
        return replace(self, zone=zone)

    def like(self, text: str) -> "TimeForm":
        """This form where a time zone is known, with or without a distance from UTC as a time stamp has it."""
        if self.zone is None or self.given or self.is_date_number:
            return self
        found = TimeForm.of(text)
        return self if found is None else replace(self, zoned=found.zoned)

    @property
    def is_local(self) -> bool:
        """Whether stamps are read as local times, which the time zone relates to UTC."""
        return self.zone is not None and not (self.zoned or self.written in EPOCH_FORMS or "%z" in self.written)

    @property
    def counts(self) -> bool:
        """Whether time is a number, of which no calendar knows."""
        return self.written == NUMBER

    @property
    def is_date_number(self) -> bool:
        """Whether numbers were found to be dates."""
        return not self.given and (self.written in EPOCH_FORMS or self.written in DIGIT_FORMS.values())

    @property
    def expected(self) -> str:
        """What a time stamp of this form looks like, for messages."""
        if self.counts:
            return "a number"
        if self.written in EPOCH_FORMS:
            names = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
            return f"{names[self.written.removeprefix('epoch-')]} since 1970"
        if self.given or self.is_date_number:
            return self.written
        zone = {True: " with", False: " without"}[self.zoned] + " a distance from UTC"
        return f"ISO 8601 (2020-05-31 06:00){zone}"

    def read(self, texts: Sequence[str], where: Callable[[int], str]) -> Stamps:
        """The time stamps that texts are.

        Args:
            texts: the texts.
            where: the location of one of them, for messages.

        Raises:
            ValueError: for one that is not, with its location.
        """
        if isinstance(texts, TextColumn) and not (self.counts or self.given or self.is_date_number):
            stamps = texts.stamps(in_utc=self.zoned)
            if stamps is not None:
                return stamps
        found = np.empty(len(texts), "f8" if self.counts else "M8[us]")
        for row, text in enumerate(texts):
            value = self._read(text)
            if value is None:
                raise ValueError(
                    f"{where(row)}: {text!r} is not a valid time stamp like the others; expected {self.expected}"
                )
            found[row] = value
        return found

    def write(self, stamp: Any) -> str:
        """A time stamp as text."""
        if self.counts:
            return f"{float(stamp):.15g}"
        value = stamp.astype("M8[us]").item()
        if not isinstance(value, datetime):
            return str(stamp)  # beyond the year 9999
        if self.written in EPOCH_FORMS:
            return write_epoch(value, self.written)
        if self.zone is None:
            return value.strftime(self.written)
        local: datetime = to_local(np.array([stamp], "M8[us]"), self.zone)[0].item()
        local = local.replace(tzinfo=timezone(local - value))
        text = local.strftime(self.written.removesuffix("+00:00"))
        return text if self.given or self.is_date_number else f"{text}{local.isoformat()[-6:]}"

    def describe(self, stamp: Any) -> str:
        """A time stamp for a message: in full, where the form has no room for it."""
        text = self.write(stamp)
        return text if self.zone is not None or self._read(text) == stamp.item() else str(stamp.astype("M8[us]").item())

    def _read(self, text: str) -> datetime | float | None:
        if self.counts:
            return _finite(text)
        if self.written in EPOCH_FORMS:
            return read_epoch(text, self.written)
        if self.is_date_number:
            return read_digits(text, self.written)
        try:
            stamp = datetime.strptime(text, self.written) if self.given else _iso(text)
            if not self.given and (stamp.tzinfo is not None) != self.zoned:
                return None  # with and without a zone: which comes first is unknown
            return stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo is not None else stamp
        except (ValueError, OverflowError):
            return None


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)


def _finite(text: str) -> float | None:
    value = parse_number(text)
    return value if value is not None and math.isfinite(value) else None
