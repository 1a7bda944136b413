"""How well texts were labelled."""

from torch import Tensor

from gatewise.tasks.class_scores import confusion, macro_f1
from gatewise.tasks.unknown_labels import known_cross_entropy


def label_scores(logits: Tensor, targets: Tensor, class_count: int | None = None) -> tuple[dict[str, float], Tensor]:
    """Loss, accuracy and macro-F1, and the confusion matrix.

    Args:
        logits: (N, K).
        targets: (N,) int64; those of K and more are classes that are unknown in training.
        class_count: L, with these; K if there are none.

    Returns:
        ``unknown_labels``, how many targets are unknown in training; ``loss`` in nats, of the others; ``accuracy``;
        ``macro_f1`` (the mean of F1 over the classes in truth or answer), and (L, L) int64: how many examples of class
        i were taken for class j.

    >>> import torch
    >>> scores, counts = label_scores(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), counts.tolist()
    (0.667, 0.556, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    """
    classes = class_count or logits.shape[1]
    answers = logits.argmax(1)
    nats, known = known_cross_entropy(logits.double(), targets)
    counts = confusion(answers, targets, classes)
    return {
        "unknown_labels": len(targets) - int(known),
        "loss": float(nats) / max(known, 1),
        "accuracy": int((answers == targets).sum()) / len(targets),
        "macro_f1": macro_f1(counts),
    }, counts
