"""English number words: written, and read."""

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ONES += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_VALUES = {word: value for value, word in enumerate(_ONES)} | {word: 10 * k for k, word in enumerate(_TENS, 2)}
_SCALES = {"thousand": 1_000, "million": 1_000_000}


def in_words(number: int, *, joined_by_and: bool = True) -> str:
    """A number from 0 to 999,999,999 in words.

    Args:
        number: the number.
        joined_by_and: as the British write it.

    >>> in_words(206), in_words(1999, joined_by_and=False), in_words(20_011)
    ('two hundred and six', 'one thousand nine hundred ninety-nine', 'twenty thousand and eleven')
    """
    if number < 100:
        return _below_hundred(number)
    parts: list[str] = []
    for scale, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= scale:
            parts.append(f"{in_words(number // scale, joined_by_and=joined_by_and)} {name}")
            number %= scale
    if number:
        parts += [*["and"] * joined_by_and, _below_hundred(number)]
    return " ".join(parts)


def ordinal_in_words(number: int) -> str:
    """An ordinal from 1 to 99.

    >>> ordinal_in_words(3), ordinal_in_words(20), ordinal_in_words(31)
    ('third', 'twentieth', 'thirty-first')
    """
    before, dash, last = _below_hundred(number).rpartition("-")
    if last in _ORDINALS:
        return f"{before}{dash}{_ORDINALS[last]}"
    return f"{before}{dash}{last[:-1]}ieth" if last.endswith("y") else f"{before}{dash}{last}th"


def from_words(text: str) -> int:
    """The number that words say; years too, whose halves follow each other.

    Raises:
        ValueError: when it is none.

    >>> from_words("two hundred and six"), from_words("nineteen oh five"), from_words("a thousand")
    (206, 1905, 1000)
    """
    total = group = 0
    small: int | None = None  # what was said last, below a hundred
    for word in text.replace("-", " ").split():
        if word == "and":
            continue
        if word in _SCALES:
            total, group, small = total + (group or 1) * _SCALES[word], 0, None
        elif word == "hundred":
            group, small = (group or 1) * 100, None
        else:
            value = 1 if word == "a" else 0 if word == "oh" else _VALUES.get(word)
            if value is None:
                raise ValueError(f"not a number in words: {text!r}")
            # "nineteen | eighty-seven": what cannot be added to a ten begins the second half of a year.
            adds = small is None or (small % 10 == 0 and small != 10 and 0 < value < 10)
            group, small = (group + value if adds else group * 100 + value), value
    return total + group


def ordinal_from_words(text: str) -> int:
    """The number that an ordinal says.

    Raises:
        ValueError: when it is none.

    >>> ordinal_from_words("thirty-first"), ordinal_from_words("twentieth")
    (31, 20)
    """
    before, dash, last = text.rpartition("-")
    cardinals = {ordinal: cardinal for cardinal, ordinal in _ORDINALS.items()}
    if last not in cardinals:
        cardinals[last] = f"{last[:-4]}y" if last.endswith("ieth") else last.removesuffix("th")
    return from_words(f"{before}{dash}{cardinals[last]}")


def _below_hundred(number: int) -> str:
    if number < 20:
        return _ONES[number]
    tens, ones = _TENS[number // 10 - 2], number % 10
    return f"{tens}-{_ONES[ones]}" if ones else tens
