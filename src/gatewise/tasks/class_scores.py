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


def scores_by_name(correct: Counter[str], predicted: Counter[str], support: Counter[str]) -> dict[str, ClassScore]:
    """The scores of the classes that occur, in the targets or predictions, in alphabetical order.

    Args:
        correct: the number of correct predictions of each.
        predicted: the number of predictions of each.
        support: how many examples it has.

    >>> scores_by_name(Counter("a"), Counter("aab"), Counter("a"))["b"]
    ClassScore(precision=0.0, recall=0.0, f1=0.0, support=0)
    """
    return {
        name: ClassScore.of_counts(correct[name], predicted[name], support[name])
        for name in sorted(predicted.keys() | support.keys())
    }


def scores_of_names(predictions: Iterable[str], truth: Iterable[str]) -> dict[str, ClassScore]:
    """The scores of the classes that occur, in the targets or predictions, by their names.

    Args:
        predictions: the name of each prediction.
        truth: that of each example.

    >>> scores_of_names(["a", "a", "b"], ["a", "b", "b"])["a"]
    ClassScore(precision=0.5, recall=1.0, f1=0.6666666666666666, support=1)
    """
    pairs = Counter(zip(predictions, truth, strict=True))
    correct, predicted, support = Counter[str](), Counter[str](), Counter[str]()
    for (prediction, true), count in pairs.items():
        predicted[prediction] += count
        support[true] += count
        correct[true] += count * (prediction == true)
    return scores_by_name(correct, predicted, support)


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
