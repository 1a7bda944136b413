"""Entities as tags of words: BIO, BIOES and their relatives, and back.

B begins an entity, I is inside, E (or L) ends one, S (or U) is one alone, O is outside. What an entity is follows the
script conlleval of the CoNLL tasks of 2000 to 2003: an I whose type is not that of the word before begins a new one.
Tags are read here, in every scheme; nervaluate, which knows BIO alone, compares what they mark.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import eq
from typing import Literal, NamedTuple

from nervaluate.entities import Entity as Span
from nervaluate.entities import EvaluationResult
from nervaluate.strategies import StrictEvaluation

Scheme = Literal["bio", "bioes"]
"""Schemes to learn, in which each tag may follow some others only."""
WrittenScheme = Literal["bio", "bioes", "iob1", "bilou", "ioe2"]
"""Schemes that data is written in."""
OUTSIDE = "O"
_BEGIN, _END = "BSU", "ELSU"
_LETTERS: dict[WrittenScheme, str] = {"bio": "BIIB", "bioes": "BIES", "iob1": "IIII", "bilou": "BILU", "ioe2": "IIEE"}
"""The letters of an entity's first, inner and last words, and of its only word."""
_MISTYPED = 0.1
"""Share of words up to which tags that fit no scheme are taken for mistakes."""


class Entity(NamedTuple):
    """A type, and the words from `first` up to but not including `end`."""

    type: str
    first: int
    end: int


def is_entity_tag(tag: str) -> bool:
    """Whether a tag is O, or a letter of a scheme with a type.

    >>> is_entity_tag("B-LOC"), is_entity_tag("B_LOC"), is_entity_tag("0")
    (True, False, False)
    """
    return tag == OUTSIDE or (tag[:1] in tuple("BIELSU") and tag[1:2] == "-" and len(tag) > 2)


def are_entities(tags: Collection[str]) -> bool:
    """Whether tags mark entities: O, and letters of a scheme with a type.

    >>> are_entities({"O", "B-LOC", "I-LOC"}), are_entities({"NOUN", "VERB"})
    (True, False)
    """
    return OUTSIDE in tags and all(map(is_entity_tag, tags))


def meant_as_entities(counts: Mapping[str, int]) -> bool:
    """Whether tags are those of entities but for a few, or but for the one that stands for O.

    >>> meant_as_entities({"O": 90, "B-LOC": 5, "I-LOC": 4, "B_LOC": 1})
    True
    >>> meant_as_entities({"NOUN": 50, "B-": 1, "O": 1})
    False

    Args:
        counts: how often each tag occurs.
    """
    typed = [tag for tag in counts if tag != OUTSIDE and is_entity_tag(tag)]
    others = [tag for tag in counts if not is_entity_tag(tag)]
    if not typed:
        return False
    nearly_all = sum(counts[tag] for tag in others) <= _MISTYPED * sum(counts.values())
    return nearly_all or (OUTSIDE not in counts and len(others) == 1 < len(typed))


def scheme_of(rows: Iterable[Sequence[str]]) -> WrittenScheme:
    """The scheme that the tags of sentences are written in: the one in which most of them would be as they are.

    >>> scheme_of([["B-LOC", "I-LOC"]]), scheme_of([["I-LOC", "B-LOC"]]), scheme_of([["U-LOC"]])
    ('bio', 'iob1', 'bilou')
    """
    matches: dict[WrittenScheme, int] = dict.fromkeys(_LETTERS, 0)
    for row in rows:
        found = entities(row)
        for scheme in matches:
            matches[scheme] += sum(map(eq, tags_of(found, len(row), scheme), row))
    return max(matches, key=matches.__getitem__)


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence's tags, of any scheme, valid or not.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [Entity(type='PER', first=0, end=2), Entity(type='LOC', first=3, end=4), Entity(type='LOC', first=4, end=5)]
    """
    found: list[Entity] = []
    first, kind = 0, None
    for index, tag in enumerate([*tags, OUTSIDE]):
        letter, _, of_tag = tag.partition("-")
        if kind is not None and (tag == OUTSIDE or letter in _BEGIN or of_tag != kind):
            found.append(Entity(kind, first, index))
            kind = None
        if tag != OUTSIDE:
            if kind is None:
                first, kind = index, of_tag
            if letter in _END:
                found.append(Entity(kind, first, index + 1))
                kind = None
    return found


def tags_of(found: Iterable[Entity], length: int, scheme: WrittenScheme) -> list[str]:
    """The tags of a sentence of `length` words, from its entities in order.

    >>> tags_of([Entity("PER", 0, 2), Entity("LOC", 3, 4)], 4, "bioes")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    begin, inside, last, alone = _LETTERS[scheme]
    tags = [OUTSIDE] * length
    for kind, first, end in found:
        letters = alone if end - first == 1 else begin + inside * (end - first - 2) + last
        if scheme == "iob1" and first > 0 and tags[first - 1] in (f"B-{kind}", f"I-{kind}"):
            letters = "B" + letters[1:]
        tags[first:end] = [f"{letter}-{kind}" for letter in letters]
    return tags


def written_letters(scheme: Scheme, written: WrittenScheme) -> dict[str, str] | None:
    """The letter that another scheme has for each of a scheme's; None where that depends on the words around.

    >>> written_letters("bioes", "bio"), written_letters("bio", "bioes")
    ({'B': 'B', 'I': 'I', 'E': 'I', 'S': 'B'}, None)
    """
    pairs = list(zip(_LETTERS[scheme], _LETTERS[written], strict=True))
    letters = dict(pairs)
    # In iob1 the first letter depends on the word before.
    return letters if written != "iob1" and all(letters[letter] == other for letter, other in pairs) else None


def may_follow(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Whether one tag may follow another; None is what is around a sentence.

    >>> may_follow("O", "I-LOC", "bio"), may_follow("B-LOC", None, "bioes")
    (False, False)
    """
    open_before = before is not None and before != OUTSIDE and (scheme == "bio" or before[0] in "BI")
    goes_on = after is not None and after != OUTSIDE and after[0] in "IE"
    same = goes_on and open_before and before is not None and after is not None and before[1:] == after[1:]
    return same if goes_on else scheme == "bio" or not open_before


def count_entities(answers: Iterable[Sequence[str]], truth: Iterable[Sequence[str]]) -> EvaluationResult:
    """Compare the tags of sentences: an entity is right where its type and both ends are.

    Returns:
        how many were ``correct``, answered (``actual``) and true (``possible``), ``precision``, ``recall`` and ``f1``.

    >>> counts = count_entities([["B-LOC", "O", "B-PER"]], [["B-LOC", "I-LOC", "B-PER"]])
    >>> counts.correct, counts.actual, counts.possible, counts.f1
    (1, 2, 2, 0.5)
    """
    # Not `nervaluate.Evaluator`, which compares in four ways and by type, and takes 25 times as long.
    strict = StrictEvaluation()
    total = EvaluationResult()
    for answer, truth_of in zip(answers, truth, strict=True):
        one, _ = strict.evaluate(_spans(truth_of), _spans(answer), [])
        total.correct += one.correct
        total.incorrect += one.incorrect
        total.missed += one.missed
        total.spurious += one.spurious
    total.compute_metrics()
    return total


def _spans(tags: Sequence[str]) -> list[Span]:
    return [Span(kind, first, end - 1) for kind, first, end in entities(tags)]
