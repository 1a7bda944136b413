"""Entities as tags of words: BIO, BIOES and their relatives, and back.

B begins an entity, I is inside, E (or L) ends one, S (or U) is one alone, O is outside. What an entity is follows the
script conlleval of the CoNLL tasks of 2000 to 2003: an I whose type is not that of the word before begins a new one.
Its definition is written here because the library that implemented it, seqeval, had its last release in 2020.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

Scheme = Literal["bio", "bioes"]
OUTSIDE = "O"
_BEGIN, _END = "BSU", "ELSU"


class Entity(NamedTuple):
    """A type, and the words from `first` up to but not including `end`."""

    type: str
    first: int
    end: int


def are_entities(tags: Collection[str]) -> bool:
    """Whether tags mark entities: O, and letters of a scheme with a type.

    >>> are_entities({"O", "B-LOC", "I-LOC"}), are_entities({"NOUN", "VERB"})
    (True, False)
    """
    return OUTSIDE in tags and all(tag == OUTSIDE or (tag[0] in "BIELSU" and tag[1:2] == "-") for tag in tags)


def scheme_of(tags: Collection[str]) -> Scheme:
    """The scheme of some tags: bioes if an entity's end is marked, else bio."""
    return "bioes" if any(tag != OUTSIDE and tag[0] in _END for tag in tags) else "bio"


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence's tags, of any scheme, valid or not.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [Entity(type='PER', first=0, end=2), Entity(type='LOC', first=3, end=4), Entity(type='LOC', first=4, end=5)]
    """
    found: list[Entity] = []
    first, kind = 0, None
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, _, of_tag = tag.partition("-")
        if kind is not None and (tag == OUTSIDE or letter in _BEGIN or of_tag != kind):
            found.append(Entity(kind, first, place))
            kind = None
        if tag != OUTSIDE:
            if kind is None:
                first, kind = place, of_tag
            if letter in _END:
                found.append(Entity(kind, first, place + 1))
                kind = None
    return found


def tags_of(found: Iterable[Entity], length: int, scheme: Scheme) -> list[str]:
    """The tags of a sentence of so many words.

    >>> tags_of([Entity("PER", 0, 2), Entity("LOC", 3, 4)], 4, "bioes")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    tags = [OUTSIDE] * length
    for kind, first, end in found:
        tags[first:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - first - 1)
        if scheme == "bioes":
            tags[end - 1] = f"{'S' if end - first == 1 else 'E'}-{kind}"
    return tags


def may_follow(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Whether one tag may stand after another; None is what is around a sentence.

    >>> may_follow("O", "I-LOC", "bio"), may_follow("B-LOC", None, "bioes")
    (False, False)
    """
    open_before = before is not None and before != OUTSIDE and (scheme == "bio" or before[0] in "BI")
    goes_on = after is not None and after != OUTSIDE and after[0] in "IE"
    same = goes_on and open_before and before is not None and after is not None and before[1:] == after[1:]
    return same if goes_on else scheme == "bio" or not open_before


class EntityCounts(NamedTuple):
    """How many entities were found exactly (type and both ends), answered, and true."""

    right: int
    answered: int
    true: int

    @property
    def precision(self) -> float:
        """The share of answers that are right."""
        return self.right / self.answered if self.answered else 0.0

    @property
    def recall(self) -> float:
        """The share of true entities that were found."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / (self.answered + self.true) if self.answered + self.true else 0.0


def count_entities(answers: Iterable[Sequence[str]], truth: Iterable[Sequence[str]]) -> EntityCounts:
    """Compare the tags of sentences.

    >>> count_entities([["B-LOC", "O", "B-PER"]], [["B-LOC", "I-LOC", "B-PER"]])
    EntityCounts(right=1, answered=2, true=2)
    """
    right = answered = true = 0
    for answer, truth_of in zip(answers, truth, strict=True):
        found, known = set(entities(answer)), set(entities(truth_of))
        right, answered, true = right + len(found & known), answered + len(found), true + len(known)
    return EntityCounts(right, answered, true)
