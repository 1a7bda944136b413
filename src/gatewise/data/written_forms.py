"""Dates and numbers as people write them, and their plain form: made by rule, each read back by a parser of its own."""

import datetime
import random
import re

from gatewise.data.number_words import from_words, in_words, ordinal_from_words, ordinal_in_words
from gatewise.data.pairs import Pair

_FIRST, _LAST = datetime.date(1700, 1, 1).toordinal(), datetime.date(2099, 12, 31).toordinal()
# Not the names in `calendar`, which are those of the user's language.
_MONTHS = ["January", "February", "March", "April", "May", "June", "July"]
_MONTHS += ["August", "September", "October", "November", "December"]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_SHORT = [month[:3] for month in _MONTHS]


def written_forms(dates: int, numbers: int, seed: int = 0) -> list[Pair]:
    """Pairs such as ("the third of March 1987", "1987-03-03") and ("two hundred and six", "206").

    No date and no number occurs twice, in whatever form.

    Args:
        dates: how many dates there are, from 1700 to 2099.
        numbers: how many numbers, from 0 to 999,999, all lengths equally often.
        seed: of what is drawn.
    """
    draw = random.Random(seed)
    pairs: list[Pair] = []
    for ordinal in draw.sample(range(_FIRST, _LAST + 1), dates):
        date = datetime.date.fromordinal(ordinal)
        pairs.append((_random_case(_written_date(date, draw), draw), date.isoformat()))
    seen: set[int] = set()
    while len(seen) < numbers:
        number = draw.randrange(10 ** draw.randrange(1, 7))
        if number not in seen:
            seen.add(number)
            pairs.append((_random_case(_written_number(number, draw), draw), str(number)))
    for written, plain in pairs:
        if read_form(written) != plain:
            raise AssertionError(f"{written!r} was made from {plain}, and reads {read_form(written)}")
    draw.shuffle(pairs)
    return pairs


def read_form(written: str) -> str:
    """The plain form of a written date or number.

    It looks for a month, a day and a year, or else a number, at any position; it knows nothing of the patterns
    that `written_forms` fills in.

    Raises:
        ValueError: when it is neither.

    >>> read_form("Tuesday, the third of March 1987"), read_form("1,206"), read_form("Mar. 3rd, nineteen oh five")
    ('1987-03-03', '1206', '1905-03-03')
    """
    text = written.lower()
    text = re.sub(rf"\b(?:{'|'.join(_DAYS).lower()})\b", " ", text)
    if re.fullmatch(r"[\d,]+", text):
        return str(int(text.replace(",", "")))
    month = re.search(rf"\b(?:{'|'.join(_SHORT).lower()})[a-z]*\b\.?", text)
    if month is None:
        return str(from_words(text))
    which = 1 + [name.lower() for name in _SHORT].index(month.group()[:3])
    words = re.sub(r"\b(?:of|the|in|year)\b|,", " ", text[: month.start()] + " ; " + text[month.end() :])
    year = re.search(r"\b\d{4}\b", words)
    if year is None:
        day, rest = _leading_day(words)
        return datetime.date(from_words(rest), which, day).isoformat()
    day, rest = _leading_day(words[: year.start()] + " " + words[year.end() :])
    if rest:
        raise ValueError(f"not a date: {written!r}")
    return datetime.date(int(year.group()), which, day).isoformat()


def _leading_day(words: str) -> tuple[int, str]:
    """The day, and the words after it."""
    first, *rest = words.replace(";", " ").split()
    digits = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th)?", first)
    return int(digits[1]) if digits else ordinal_from_words(first), " ".join(rest)


def _random_case(text: str, draw: random.Random) -> str:
    return draw.choice((text, text, text, text[0].upper() + text[1:], text.lower()))


def _written_number(number: int, draw: random.Random) -> str:
    kinds = ["words", "words", "words", "american", "american", "digits"]
    if 1100 <= number < 10_000 and number % 1000 >= 100:
        kinds += ["hundreds"] * 2
    kind = draw.choice(kinds)
    if kind == "digits":
        return f"{number:,}"
    if kind == "hundreds":  # twelve hundred and six
        rest = f" and {in_words(number % 100)}" if number % 100 else ""
        return f"{in_words(number // 100)} hundred{rest}"
    words = in_words(number, joined_by_and=kind == "words")
    if draw.random() < 0.3 and words.startswith(("one hundred", "one thousand")):
        return "a" + words[3:]
    return words


def _written_date(date: datetime.date, draw: random.Random) -> str:
    month = draw.choice((_MONTHS[date.month - 1],) * 3 + (_SHORT[date.month - 1],))
    word, digits = ordinal_in_words(date.day), f"{date.day}{_suffix(date.day)}"
    year = draw.choice((str(date.year), str(date.year), _written_year(date.year, draw)))
    text = draw.choice(
        (
            f"the {word} of {month} {year}",
            f"the {word} of {month}, {year}",
            f"the {word} of {month} in the year {year}",
            f"the {digits} of {month} {year}",
            f"{digits} of {month}, {year}",
            f"{date.day} {month} {year}",
            f"{month} {date.day}, {year}",
            f"{month} {digits}, {year}",
            f"{month} the {word}, {year}",
            f"{month} {word} {year}",
            f"{date.year} {month} {date.day}",
        )
    )
    return f"{_DAYS[date.weekday()]}, {text}" if draw.random() < 0.2 else text


def _suffix(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _written_year(year: int, draw: random.Random) -> str:
    century, rest = divmod(year, 100)
    if century == 20 and rest < 10:
        return in_words(year, joined_by_and=draw.random() < 0.7)
    if rest == 0:
        return f"{in_words(century)} hundred"
    if rest < 10:
        return draw.choice(
            (f"{in_words(century)} oh {in_words(rest)}", f"{in_words(century)} hundred and {in_words(rest)}")
        )
    plain = f"{in_words(century)} {in_words(rest)}"
    return draw.choice((plain, plain, f"{in_words(century)} hundred and {in_words(rest)}"))
