"""How well entities of each type were found."""

from collections import Counter
from collections.abc import Iterable, Sequence

from gatewise.data.entities import entities
from gatewise.tasks.class_scores import ClassScore, scores_by_name


def entity_scores(answers: Iterable[Sequence[str]], truth: Iterable[Sequence[str]]) -> dict[str, ClassScore]:
    """The scores of each type of entity: one is right where its type and both ends are.

    Args:
        answers: the tags of sentences, in any scheme.
        truth: the tags that are expected.

    >>> entity_scores([["B-LOC", "O", "B-PER"]], [["B-LOC", "I-LOC", "B-PER"]])["LOC"]
    ClassScore(precision=0.0, recall=0.0, f1=0.0, support=1)
    """
    right, answered, support = Counter[str](), Counter[str](), Counter[str]()
    for answer, true in zip(answers, truth, strict=True):
        found, expected = set(entities(answer)), set(entities(true))
        answered.update(entity.type for entity in found)
        support.update(entity.type for entity in expected)
        right.update(entity.type for entity in found & expected)
    return scores_by_name(right, answered, support)
