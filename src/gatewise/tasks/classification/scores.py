"""How well texts were labelled."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gatewise.tasks.class_scores import as_numbers
from gatewise.tasks.confusion import class_scores, confusion, macro_f1
from gatewise.tasks.unknown_labels import known_cross_entropy


def label_scores(logits: Tensor, targets: Tensor, names: Sequence[str]) -> tuple[dict[str, Any], Tensor]:
    """Loss, accuracy and macro-F1, the scores of each label, and the confusion matrix.

    Args:
        logits: (N, K).
        targets: (N,) int64; those of K and more are classes that are unknown in training.
        names: of all L classes, with these.

    Returns:
        ``unknown_labels``, how many targets are unknown in training; ``loss`` in nats, of the others; ``accuracy``;
        ``macro_f1`` (the mean of F1 over the classes in truth or answer); ``per_label``, for each of these
        ``precision``, ``recall``, ``f1`` and ``support``; and (L, L) int64: how many examples of class i were taken for
        class j.

    >>> import torch
    >>> scores, counts = label_scores(torch.eye(3), torch.tensor([0, 1, 1]), ["a", "b", "c"])
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), counts.tolist()
    (0.667, 0.556, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    >>> scores["per_label"]["b"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}
    """
    loss_sum, known = known_cross_entropy(logits.double(), targets)
    counts = confusion(logits.argmax(1), targets, len(names))
    return scores_of_counts(counts, names, float(loss_sum), int(known)), counts


def scores_of_counts(counts: Tensor, names: Sequence[str], loss_sum: float, known: int) -> dict[str, Any]:
    """The same scores, of counts and sums over batches.

    Args:
        counts: (L, L), see `gatewise.tasks.confusion.confusion`.
        names: of the classes.
        loss_sum: the sum of the loss over the examples of known classes.
        known: the number of these.
    """
    total = int(counts.sum())
    return {
        "unknown_labels": total - known,
        "loss": loss_sum / max(known, 1),
        "accuracy": int(counts.trace()) / total,
        "macro_f1": macro_f1(counts),
        "per_label": as_numbers(class_scores(counts, names)),
    }
