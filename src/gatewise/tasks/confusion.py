"""Confusion matrices, and the scores that follow from them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gatewise.tasks.class_scores import ClassScore, as_numbers


def confusion(predictions: Tensor, targets: Tensor, class_count: int) -> Tensor:
    """How many examples of class i are predicted as class j, (K, K) int64.

    Args:
        predictions, targets: (N,) int64, from 0 to K - 1.
        class_count: K.

    >>> import torch
    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return (targets * class_count + predictions).bincount(minlength=class_count**2).reshape(class_count, class_count)


def class_scores(counts: Tensor, names: Sequence[str]) -> dict[str, ClassScore]:
    """The scores of the K classes that occur, among targets or predictions, by their names.

    Args:
        counts: (K, K), see `confusion`.
        names: of the classes.
    """
    rows = zip(names, counts.diagonal().tolist(), counts.sum(0).tolist(), counts.sum(1).tolist(), strict=True)
    return {name: ClassScore.of_counts(*found) for name, *found in rows if found[1] or found[2]}


def macro_f1(counts: Tensor) -> float:
    """The mean of F1 over the classes that occur, among targets or predictions.

    >>> import torch
    >>> macro_f1(torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))
    0.6666666666666666
    """
    found = class_scores(counts, [str(number) for number in range(len(counts))])
    return sum(score.f1 for score in found.values()) / len(found)


def scores_of_counts(
    counts: Tensor, names: Sequence[str], loss_sum: float, known: int, baseline: int
) -> dict[str, Any]:
    """The scores of predicted labels.

    Args:
        counts: (K, K), see `confusion`; the last may be classes that are unknown in training.
        names: of the classes.
        loss_sum: the sum of the loss over the examples of known classes, in nats.
        known: the number of these.
        baseline: the most frequent class of the training data.

    Returns:
        ``unknown_labels``, the number of examples whose class is unknown in training; ``loss``, of the others;
        ``accuracy``; ``macro_f1``; ``per_label``, for each class ``precision``, ``recall``, ``f1`` and ``support``; and
        ``baseline_accuracy``.

    >>> import torch
    >>> counts = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    >>> scores = scores_of_counts(counts, ["a", "b", "c"], 3.0, 3, 1)
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), round(scores["baseline_accuracy"], 3)
    (0.667, 0.556, 0.667)
    >>> scores["per_label"]["b"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}
    """
    total = int(counts.sum())
    return {
        "unknown_labels": total - known,
        "loss": loss_sum / max(known, 1),
        "accuracy": int(counts.trace()) / total,
        "macro_f1": macro_f1(counts),
        "per_label": as_numbers(class_scores(counts, names)),
        "baseline_accuracy": int(counts[baseline].sum()) / total,
    }
