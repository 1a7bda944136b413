"""Numbers as files of data write them."""


def parse_number(text: str) -> float | None:
    """The number that a text is, NaN and infinity among them; None where it is none.

    Digits grouped by underscores are Python's alone, and no file means a number by them.

    >>> parse_number(" -1.5e3"), parse_number("nan"), parse_number("1_000"), parse_number("x")
    (-1500.0, nan, None, None)
    """
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None
