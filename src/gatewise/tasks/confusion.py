"""Which class was taken for which, and what follows from it."""

from collections.abc import Sequence

from torch import Tensor

from gatewise.tasks.class_scores import ClassScore


def confusion(answers: Tensor, targets: Tensor, class_count: int) -> Tensor:
    """How many examples of class i were taken for class j, (K, K) int64.

    Args:
        answers, targets: (N,) int64, from 0 to K - 1.
        class_count: K.

    >>> import torch
    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return (targets * class_count + answers).bincount(minlength=class_count**2).reshape(class_count, class_count)


def class_scores(counts: Tensor, names: Sequence[str]) -> dict[str, ClassScore]:
    """The scores of the K classes that occur, in truth or among the answers, by their names.

    Args:
        counts: (K, K), see `confusion`.
        names: of the classes.
    """
    rows = zip(names, counts.diagonal().tolist(), counts.sum(0).tolist(), counts.sum(1).tolist(), strict=True)
    return {name: ClassScore.of_counts(*found) for name, *found in rows if found[1] or found[2]}


def macro_f1(counts: Tensor) -> float:
    """The mean of F1 over the classes that occur, in truth or among the answers.

    >>> import torch
    >>> macro_f1(torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))
    0.6666666666666666
    """
    found = class_scores(counts, [str(number) for number in range(len(counts))])
    return sum(score.f1 for score in found.values()) / len(found)
