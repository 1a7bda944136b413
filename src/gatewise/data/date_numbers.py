"""Dates written as numbers: 20200131, and seconds since 1970."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

# By the number of digits.
DIGIT_FORMS = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# Where each part begins, and what it is where it is missing.
_PARTS = ((4, 1), (6, 1), (8, 0), (10, 0), (12, 0))
_DIGITS = {form: digits for digits, form in DIGIT_FORMS.items()}
# Years in which numbers of these many digits are likelier dates than counts.
_FIRST_YEAR, _LAST_YEAR = 1600, 2199

EPOCH_FORMS = {"epoch-s": 1, "epoch-ms": 10**3, "epoch-us": 10**6, "epoch-ns": 10**9}
"""Units that pass since 1970-01-01 00:00 UTC, and how many of them a second has."""
_EPOCH = datetime(1970, 1, 1)
# Seconds since 1970 that are likelier a time than a count: all are from 1973 to 2103, and the last is after 2001.
_EARLIEST, _LATEST_FROM, _LATEST_TO = 10**8, 10**9, 42 * 10**8


def date_form(texts: Iterable[str]) -> str | None:
    """The form of numbers all of which are dates; None where one is not.

    >>> date_form(["20200131", "20200229"]), date_form(["1580515200", "1580601600"]), date_form(["20200132"])
    ('%Y%m%d', 'epoch-s', None)
    """
    numbers = DateNumbers()
    numbers.add(texts)
    return numbers.form


class DateNumbers:
    """Numbers, some after the others, all of which may be dates."""

    def __init__(self) -> None:
        self._digits: str | None = None
        self._are_digits = self._are_numbers = True
        self._low: Decimal | None = None
        self._high = Decimal(0)

    def add(self, texts: Iterable[str]) -> None:
        """Look at further ones."""
        for text in texts:
            if not (self._are_digits or self._are_numbers):
                return
            self._are_digits = self._are_digits and self._is_date(text)
            number = _finite(text) if self._are_numbers else None
            self._are_numbers = number is not None
            if number is not None:
                self._high = number if self._low is None else max(self._high, number)
                self._low = number if self._low is None else min(self._low, number)

    @property
    def form(self) -> str | None:
        """The form of all so far, see `date_form`."""
        if self._are_digits and self._digits is not None:
            return self._digits
        if not self._are_numbers or self._low is None:
            return None
        for form, units in EPOCH_FORMS.items():
            if self._low >= _EARLIEST * units and _LATEST_FROM * units <= self._high < _LATEST_TO * units:
                return form
        return None

    def _is_date(self, text: str) -> bool:
        self._digits = self._digits or DIGIT_FORMS.get(len(_without_zeros(text)))
        stamp = None if self._digits is None else read_digits(text, self._digits)
        return stamp is not None and _FIRST_YEAR <= stamp.year <= _LAST_YEAR


def _finite(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def read_digits(text: str, form: str) -> datetime | None:
    """The time that digits say, in one of `DIGIT_FORMS`.

    Zeros after a point are ignored: they are what a column of whole numbers gets where one of them is missing.

    >>> read_digits("202001.0", "%Y%m"), read_digits("20201", "%Y%m")
    (datetime.datetime(2020, 1, 1, 0, 0), None)
    """
    digits = _without_zeros(text)
    if len(digits) != _DIGITS[form] or not (digits.isascii() and digits.isdigit()):
        return None
    month, day, hour, minute, second = (int(digits[start : start + 2] or first) for start, first in _PARTS)
    try:
        return datetime(int(digits[:4]), month, day, hour, minute, second)
    except ValueError:
        return None


def read_epoch(text: str, form: str) -> datetime | None:
    """The time that a number of units since 1970 says, in UTC, in one of `EPOCH_FORMS`; to the microsecond.

    >>> read_epoch("1580515200500", "epoch-ms")
    datetime.datetime(2020, 2, 1, 0, 0, 0, 500000)
    """
    try:
        return _EPOCH + timedelta(microseconds=round(Decimal(text) * 10**6 / EPOCH_FORMS[form]))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def write_epoch(stamp: datetime, form: str) -> str:
    """A time as a number of units since 1970.

    >>> write_epoch(datetime(2020, 2, 1), "epoch-s"), write_epoch(datetime(2020, 2, 1, 0, 0, 0, 250_000), "epoch-s")
    ('1580515200', '1580515200.25')
    """
    microseconds = (stamp - _EPOCH) // timedelta(microseconds=1)
    return f"{(Decimal(microseconds * EPOCH_FORMS[form]) / 10**6).normalize():f}"


def _without_zeros(text: str) -> str:
    whole, point, rest = text.strip().partition(".")
    return whole if point and not rest.strip("0") else text.strip()
