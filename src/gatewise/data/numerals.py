"""Numbers as files of data write them."""

import re

MISSING = frozenset(("", "na", "n/a", "nan", "nat", "null", "none", "-", "?", "."))
"""Words, in lower case, that denote a missing number."""

_WITH_COMMA = re.compile(r"[+-]?\d[\d.,' ]*")


def parse_number(text: str, decimal: str = ".") -> float | None:
    """The number that a text is, NaN and infinity among them; None where it is none.

    Digits grouped by underscores are Python's alone, and no file means a number by them.

    Args:
        text: the text.
        decimal: the decimal mark.

    >>> parse_number(" -1.5e3"), parse_number("nan"), parse_number("1_000"), parse_number("x")
    (-1500.0, nan, None, None)
    >>> parse_number("2,5", ","), parse_number("1.000,5", ",")
    (2.5, None)
    """
    if "_" in text:
        return None
    if decimal != ".":
        if "." in text:
            return None
        text = text.replace(decimal, ".")
    try:
        return float(text)
    except ValueError:
        return None


def comma_hint(text: object, decimal: str = ".") -> str:
    """What to say of a text that is not a number for its marks; nothing of any other.

    >>> comma_hint("2,5")
    '; write decimals with a point, thousands without, or give --decimal , where that is the decimal mark'
    >>> comma_hint("many")
    ''
    """
    if not isinstance(text, str) or not _WITH_COMMA.fullmatch(text.strip()):
        return ""
    if decimal == ",":
        return "; the decimal mark is a comma (--decimal): write thousands without a mark"
    return "; write decimals with a point, thousands without, or give --decimal , where that is the decimal mark"
