"""The tags of a run: their names, and how they stand for entities if they do."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from gatewise.data.entities import (
    OUTSIDE,
    Scheme,
    WrittenScheme,
    are_entities,
    entities,
    may_follow,
    scheme_of,
    tags_of,
    written_letters,
)
from gatewise.data.labels import Labels


class TagSet:
    """K tags.

    Attributes:
        labels: the tags that the network knows.
        learned: the scheme of those; None where tags are not of entities.
        given: the scheme of the data's tags, in which predictions are written.
    """

    unit: ClassVar[str] = "tags"

    def __init__(self, labels: Labels, learned: Scheme | None, given: WrittenScheme | None) -> None:
        self.labels = labels
        self.learned: Scheme | None = learned
        self.given: WrittenScheme | None = given

    @classmethod
    def learn(
        cls,
        rows: Collection[Sequence[str]],
        scheme: Literal["auto", "none", "bio", "bioes"],
        auto: Scheme = "bioes",
    ) -> Self:
        """The tags of sentences, in a scheme.

        Args:
            rows: the tags of each sentence; they are read twice where they are of entities.
            scheme: the scheme to learn; none: tags as they are.
            auto: the scheme that auto is, where tags are those of entities.

        Raises:
            ValueError: when a scheme is asked for and the tags are not of entities, or there is only one tag.

        >>> TagSet.learn([["O", "B-LOC"]], "auto").labels.names
        ['B-LOC', 'E-LOC', 'I-LOC', 'O', 'S-LOC']
        """
        names = {tag for row in rows for tag in row}
        found = are_entities(names)
        if len(names) < 2:
            raise ValueError(f"the data to learn from has one tag only ({', '.join(names)}); is it the right column?")
        if scheme in ("bio", "bioes") and not found:
            raise ValueError(
                f"scheme: {scheme} is for tags of entities (O, B-LOC, I-LOC …), got {', '.join(sorted(names)[:10])}; "
                "leave it at auto, or name another tag column"
            )
        if scheme == "none" or not found:
            return cls(Labels.learn(names), None, None)
        learned: Scheme = auto if scheme == "auto" else scheme
        kinds = sorted({name[2:] for name in names if name != OUTSIDE})
        letters = "BIES" if learned == "bioes" else "BI"
        return cls(
            Labels.learn([OUTSIDE, *(f"{letter}-{kind}" for kind in kinds for letter in letters)]),
            learned,
            scheme_of(rows),
        )

    def knows(self, tag: str) -> bool:
        """Whether a tag as the data writes it may be predicted."""
        return (tag if self.learned is None or tag == OUTSIDE else f"B-{tag[2:]}") in self.labels

    def including(self, rows: Collection[Sequence[str]]) -> Self:
        """These tags with their numbers, and after them the others of sentences: see `Labels.including`."""
        if all(map(self.knows, {tag for row in rows for tag in row})):
            return self
        return type(self)(
            self.labels.including(tag for row in rows for tag in self._learned(row)), self.learned, self.given
        )

    def numbers(self, tags: Sequence[str]) -> Tensor:
        """The numbers (T,) int64 of a sentence's tags, all of which there are."""
        return torch.tensor([self.labels.number(tag) for tag in self._learned(tags)], dtype=torch.int64)

    def _learned(self, tags: Sequence[str]) -> Sequence[str]:
        return tags if self.learned is None else tags_of(entities(tags), len(tags), self.learned)

    def names(self, numbers: Iterable[int]) -> list[str]:
        """The learned tags of some numbers."""
        return [self.labels.names[number] for number in numbers]

    def written(self, tags: Sequence[str]) -> list[str]:
        """Learned tags as the data writes them."""
        return list(tags) if self.given is None else tags_of(entities(tags), len(tags), self.given)

    @property
    def written_names(self) -> list[str]:
        """How the data would write each of the learned tags; they themselves where it could write one in two ways."""
        if self.learned is None or self.given is None:
            return self.labels.names
        letters = written_letters(self.learned, self.given)
        if letters is None:
            return self.labels.names
        return [tag if tag == OUTSIDE else letters[tag[0]] + tag[1:] for tag in self.labels.names]

    def valid(self, tags: Sequence[str]) -> bool:
        """Whether every learned tag is allowed at its position."""
        around = [None, *tags, None]
        return self.learned is None or all(
            may_follow(before, after, self.learned) for before, after in itertools.pairwise(around)
        )

    @property
    def allowed(self) -> Tensor:
        """(K + 1, K + 1) bool: whether a tag may follow another; the last row and column are around a sentence."""
        around = [*self.labels.names, None]
        scheme = self.learned
        return torch.tensor([[scheme is None or may_follow(a, b, scheme) for b in around] for a in around])

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"names": self.labels.names, "learned": self.learned, "given": self.given}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The tags that `content` described."""
        return cls(Labels.from_content(content), content["learned"], content["given"])
