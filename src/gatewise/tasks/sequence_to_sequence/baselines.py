"""Answers without a model, which any model must beat."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from statistics import median_low
from typing import Any, ClassVar, Self

Baseline = Callable[[str], str]

_FORMATS = ("%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%Y %B %d", "%Y %b %d")


class FrequentWords:
    """The most frequent words of the training targets, as many as a target has in the middle.

    >>> FrequentWords.learn(["Return the name.", "Return the size."]).answer("whatever")
    'return the name'
    """

    unit: ClassVar[str] = "frequent_words"

    def __init__(self, words: list[str]) -> None:
        self._words = words

    @classmethod
    def learn(cls, targets: Iterable[str]) -> Self:
        """Count the words of targets."""
        rows = [re.findall(r"\w+", target.lower()) for target in targets]
        counts = Counter(word for row in rows for word in row)
        return cls([word for word, _ in counts.most_common(median_low(map(len, rows)))])

    def answer(self, source: str) -> str:
        """The same for every source."""
        return " ".join(self._words)

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"words": self._words}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The words that `content` described."""
        return cls(content["words"])


def copy(source: str) -> str:
    """The source itself."""
    return source


def first_sentence(source: str) -> str:
    """The text up to the first full stop, inclusive.

    >>> first_sentence("The value e.g. 1.5 is returned. Else nothing.")
    'The value e.g. 1.5 is returned.'
    """
    return re.split(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s", source, maxsplit=1)[0]


def strptime(source: str) -> str:
    """The date that the standard library's `datetime.strptime` reads in one of six formats, or the number `int` reads.

    >>> strptime("March 3, 1987"), strptime("1,206"), strptime("two hundred")
    ('1987-03-03', '1206', '')
    """
    for form in _FORMATS:
        try:
            return datetime.strptime(source, form).date().isoformat()
        except ValueError:
            continue
    try:
        return str(int(source.replace(",", "")))
    except ValueError:
        return ""
