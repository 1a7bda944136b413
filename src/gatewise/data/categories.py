"""Categorical columns as numbers: a vocabulary for each, learned from the training rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gatewise.data.tokens import TokenVocabulary

UNKNOWN = 0
"""The number of a value that the training rows do not have."""


class Categories:
    """C categorical columns, the values of each numbered from 1; 0 is any value that the training rows do not have.

    Values are compared as they are written. An empty value is a value of its own.

    Attributes:
        vocabularies: of each column the values, with how often they occur in the training rows.

    >>> categories = Categories.learn({"weather": ["rain", "sun", "rain"], "day": ["Mo", "Tu", ""]})
    >>> categories.encode({"weather": ["sun", "fog"], "day": ["", "Mo"]}).tolist()
    [[2, 1], [0, 2]]
    """

    unit: ClassVar[str] = "categories"

    def __init__(self, vocabularies: Mapping[str, TokenVocabulary]) -> None:
        self.vocabularies = dict(vocabularies)

    @classmethod
    def learn(cls, columns: Mapping[str, Iterable[str]]) -> Self:
        """The values of some columns by name, the most frequent of each first."""
        return cls(
            {name: TokenVocabulary.learn([values], lower=False, digits=False) for name, values in columns.items()}
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self.vocabularies)

    def __len__(self) -> int:
        """The number of columns C."""
        return len(self.vocabularies)

    def encode(self, columns: Mapping[str, Sequence[str]]) -> Tensor:
        """The numbers (N, C) int64 of N values of every column.

        Raises:
            ValueError: when a column is missing.
        """
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise ValueError(
                f"no column {missing[0]!r}, which the model reads; there are {', '.join(columns) or 'none'}"
            )
        numbers = [vocabulary.encode_tokens(columns[name]) for name, vocabulary in self.vocabularies.items()]
        return torch.stack(numbers, 1) if numbers else torch.empty(0, 0, dtype=torch.int64)

    def unknown_notice(self, part: str, numbers: Iterable[Tensor]) -> str | None:
        """A line with how many values of each column are unknown; None if none are.

        Args:
            part: the part of the data, such as ``held_out``.
            numbers: (…, C) each, as of `encode`.

        >>> Categories.learn({"day": ["Mo", "Tu"]}).unknown_notice("held_out", [torch.tensor([[0], [1]])])
        "held out: values that are not in the training data: 1 of 2 of 'day'; read as unknown"
        """
        unknown, total = torch.zeros(len(self), dtype=torch.int64), 0
        for some in numbers:
            unknown += (some.reshape(-1, len(self)) == UNKNOWN).sum(0)
            total += some.numel() // max(len(self), 1)
        counts = [
            f"{count:,} of {total:,} of {name!r}"
            for name, count in zip(self.names, unknown.tolist(), strict=True)
            if count
        ]
        if not counts:
            return None
        part = part.replace("_", " ")
        return f"{part}: values that are not in the training data: {', '.join(counts)}; read as unknown"

    @property
    def summary(self) -> str:
        """The number of values of each column, for people."""
        return "categories: " + ", ".join(f"{name} {one.size - 1:,}" for name, one in self.vocabularies.items())

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"columns": {name: one.content() for name, one in self.vocabularies.items()}}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The columns that `content` described."""
        return cls({name: TokenVocabulary.from_content(one) for name, one in content["columns"].items()})
