"""Scores of each class: precision, recall, F1 and support. Standard library alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeGuard


class ClassScore(NamedTuple):
    """How well one class was found.

    Attributes:
        precision: the share of its predictions that are correct; 0 where there are none.
        recall: the share of its examples that are found; 0 where there are none.
        f1: their harmonic mean.
        support: how many examples it has.
    """

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def of_counts(cls, correct: int, predicted: int, support: int) -> "ClassScore":
        """The scores of a class from its numbers of correct predictions, predictions and examples.

        >>> ClassScore.of_counts(2, 4, 2)
        ClassScore(precision=0.5, recall=1.0, f1=0.6666666666666666, support=2)
        """
        return cls(
            correct / max(predicted, 1), correct / max(support, 1), 2 * correct / max(predicted + support, 1), support
        )


class NameCounts:
    """How often each class was predicted correctly, predicted, and true, accumulated over predictions.

    Attributes:
        correct, predicted, support: the counts by the name of the class.

    >>> counts = NameCounts()
    >>> counts.add(correct="a", predicted="aab", support="ac")
    >>> counts.scores["a"]
    ClassScore(precision=0.5, recall=1.0, f1=0.6666666666666666, support=1)
    >>> sorted(counts.scores)
    ['a', 'b', 'c']
    """

    def __init__(self) -> None:
        self.correct, self.predicted, self.support = Counter[str](), Counter[str](), Counter[str]()

    def add(self, *, correct: Iterable[str], predicted: Iterable[str], support: Iterable[str]) -> None:
        """Count some predictions.

        Args:
            correct: the names of the correct ones.
            predicted: those of all.
            support: the true names.
        """
        self.correct.update(correct)
        self.predicted.update(predicted)
        self.support.update(support)

    @property
    def scores(self) -> dict[str, ClassScore]:
        """The scores of the classes that occur, in the targets or predictions, in alphabetical order."""
        return {
            name: ClassScore.of_counts(self.correct[name], self.predicted[name], self.support[name])
            for name in sorted(self.predicted.keys() | self.support.keys())
        }

    @property
    def total(self) -> ClassScore:
        """The score of all classes together."""
        return ClassScore.of_counts(self.correct.total(), self.predicted.total(), self.support.total())


def as_numbers(scores: Mapping[str, ClassScore]) -> dict[str, dict[str, float]]:
    """Scores of classes as the scores of a run have them: numbers by name.

    >>> as_numbers({"good": ClassScore(1.0, 0.5, 0.6666666666666666, 2)})
    {'good': {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}}
    """
    return {name: score._asdict() for name, score in scores.items()}


def is_score_table(value: object) -> TypeGuard[Mapping[str, Mapping[str, float]]]:
    """Whether a value is a row of scores, all by the same names, for each class or whatever else has its own scores.

    >>> is_score_table({"good": {"f1": 1.0}, "bad": {"f1": 0.5}}), is_score_table({}), is_score_table(0.5)
    (True, True, False)
    >>> is_score_table({"good": {"f1": 1.0}, "bad": {"recall": 0.5}}), is_score_table({"good": {}})
    (False, False)
    """
    if not isinstance(value, Mapping):
        return False
    rows: list[Any] = list(value.values())
    return all(isinstance(row, Mapping) and row and all(map(is_number, row.values())) for row in rows) and (
        len({tuple(row) for row in rows}) < 2
    )


def is_number(value: object) -> bool:
    """Whether a value is a number, which a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
