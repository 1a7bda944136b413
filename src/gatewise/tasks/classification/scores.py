"""How well texts were labelled."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gatewise.tasks.class_scores import as_numbers
from gatewise.tasks.confusion import class_scores, macro_f1


def scores_of_counts(counts: Tensor, names: Sequence[str], loss_sum: float, known: int) -> dict[str, Any]:
    """Loss, accuracy and macro-F1, and the scores of each label, of counts and sums over batches.

    Args:
        counts: (L, L), see `gatewise.tasks.confusion.confusion`.
        names: of the classes.
        loss_sum: the sum of the loss over the examples of known classes, in nats.
        known: the number of these.

    Returns:
        ``unknown_labels``, how many targets are unknown in training; ``loss`` in nats, of the others; ``accuracy``;
        ``macro_f1`` (the mean of F1 over the classes in truth or answer); ``per_label``, for each of these
        ``precision``, ``recall``, ``f1`` and ``support``.

    >>> import torch
    >>> scores = scores_of_counts(torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0]]), ["a", "b", "c"], 1.5, 3)
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), scores["loss"]
    (0.667, 0.556, 0.5)
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
    }
