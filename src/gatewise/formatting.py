"""Numbers and tables as text, for terminals, progress and reports."""

import math
from collections.abc import Sequence
from typing import Literal

_SMALLEST, _LARGEST = -5, 15


def format_number(value: float, digits: int = 4, sign: Literal["-", "+"] = "-") -> str:
    """Format a number with significant digits; integer digits are never rounded, and an ``int`` is a count.

    Args:
        value: the number.
        digits: minimum number of significant digits.
        sign: "+" to write it before positive numbers too.

    >>> format_number(12345), format_number(12345.678), format_number(0.0087612), format_number(0.95)
    ('12,345', '12,346', '0.008761', '0.9500')
    >>> format_number(0.25, sign="+"), format_number(1.5e-7), format_number(0.0)
    ('+0.2500', '1.500e-07', '0')
    """
    if isinstance(value, int) or value == 0:
        return f"{int(value):{sign},}"
    if not math.isfinite(value):
        return f"{value:{sign}}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 0.99996 is 1.000
    if not _SMALLEST <= exponent < _LARGEST:
        return f"{value:{sign}.{digits - 1}e}"
    return f"{value:{sign},.{max(0, digits - 1 - exponent)}f}"


def aligned(rows: Sequence[Sequence[str]], sides: Sequence[str]) -> str:
    """Aligned columns; ``sides`` has the alignment of each: ``<`` or ``>``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    )


def format_bytes(size: float) -> str:
    """A number of bytes for people.

    >>> format_bytes(3), format_bytes(2048), format_bytes(1.6e12)
    ('3 bytes', '2.0 KiB', '1.5 TiB')
    """
    if size < 1024:
        return f"{size:.0f} bytes"
    power = min(int(math.log2(size)) // 10, 5)
    return f"{size / 1024**power:,.1f} {'KMGTP'[power - 1]}iB"
