"""How well texts were labelled."""

from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score


def label_scores(logits: Tensor, targets: Tensor) -> tuple[dict[str, float], Tensor]:
    """Loss, accuracy and macro-F1, and the confusion matrix.

    Args:
        logits: (N, K).
        targets: (N,) int64.

    Returns:
        ``loss`` in nats, ``accuracy``, ``macro_f1`` (the mean of F1 over the classes in truth or answer),
        and (K, K) int64: how many examples of class i were taken for class j.

    >>> import torch
    >>> scores, counts = label_scores(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), counts.tolist()
    (0.667, 0.556, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    """
    classes = logits.shape[1]
    answers = logits.argmax(1)
    return {
        "loss": float(functional.cross_entropy(logits.double(), targets)),
        "accuracy": int((answers == targets).sum()) / len(targets),
        "macro_f1": float(multiclass_f1_score(answers, targets, classes, average="macro")),
    }, multiclass_confusion_matrix(answers, targets, classes)
