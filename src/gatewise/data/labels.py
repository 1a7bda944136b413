"""The names of classes and tags, their numbers, and the guess that any model must beat."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self


class Labels:
    """K names, numbered in order.

    >>> labels = Labels.learn(["good", "bad", "good"])
    >>> labels.names, labels.number("good")
    (['bad', 'good'], 1)
    """

    unit: ClassVar[str] = "labels"

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._numbers = {name: number for number, name in enumerate(names)}

    @classmethod
    def learn(cls, labels: Iterable[str]) -> Self:
        """The distinct labels in alphabetical order."""
        return cls(sorted(set(labels)))

    @property
    def size(self) -> int:
        """The number of labels K."""
        return len(self.names)

    def check_several(self) -> None:
        """Raise a ValueError when there is one label only, and so nothing to learn."""
        if self.size < 2:
            raise ValueError(
                f"the data to learn from has one label only ({self.names[0]}); there is nothing to tell apart"
            )

    def __contains__(self, label: str) -> bool:
        return label in self._numbers

    def including(self, labels: Iterable[str]) -> Self:
        """These labels with their numbers, and after them the others that some data has: none is ever answered.

        >>> Labels(["bad", "good"]).including(["good", "fair"]).names
        ['bad', 'good', 'fair']
        """
        others = sorted(set(labels) - set(self.names))
        return type(self)([*self.names, *others]) if others else self

    def number(self, label: str) -> int:
        """The number of a label; KeyError for an unknown one."""
        return self._numbers[label]

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"names": self.names}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The labels that `content` described."""
        names = content["names"]
        if not names or len(set(names)) != len(names):
            raise ValueError("the labels are not distinct, or there are none")
        return cls(names)


class MostFrequent:
    """The simplest guess: the most frequent label, of a token's own if it was seen in training.

    Args:
        overall: the number of the most frequent label.
        of_token: that of each token, by the token's number; empty where labels are not of tokens.
    """

    unit: ClassVar[str] = "most_frequent"

    def __init__(self, overall: int, of_token: list[int]) -> None:
        self.overall = overall
        self.of_token = of_token

    @classmethod
    def learn(cls, pairs: Iterable[tuple[int, int]], token_count: int = 0) -> Self:
        """Count pairs of a token and a label, both numbers.

        >>> MostFrequent.learn([(1, 5), (1, 5), (2, 7)], token_count=3).of_token
        [5, 5, 7]
        """
        counts = Counter(pairs)
        overall: Counter[int] = Counter()
        best: dict[int, tuple[int, int]] = {}
        for (token, label), count in sorted(counts.items()):
            overall[label] += count
            if count > best.get(token, (0, 0))[0]:
                best[token] = count, label
        most = max(overall, key=overall.__getitem__)
        return cls(most, [best[token][1] if token in best else most for token in range(token_count)])

    def guess(self, tokens: Sequence[int]) -> list[int]:
        """The labels of some tokens."""
        return [self.of_token[token] for token in tokens]

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"overall": self.overall, "of_token": self.of_token}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The guess that `content` described."""
        return cls(content["overall"], content["of_token"])
