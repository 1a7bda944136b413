"""Which steps of a sequence, or which of their features, an answer rests on."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from gatewise.progress import tracked

_MOST_STEPS = 50_000


@torch.no_grad()
def moved_by(x: Tensor, answer: Callable[[Tensor], Tensor], parts: Literal["steps", "features"] = "steps") -> Tensor:
    """What every step moves: an answer as it is, less the answer when the step's vector is zero.

    Li et al. 2016, "Understanding neural networks through representation erasure", arXiv:1612.08220. Of
    log-odds, 0.69 means that without the step the odds would be half.

    Args:
        x: (T, I), the steps of one sequence.
        answer: gives (B, …) for B sequences of as many steps, (T, B, I).
        parts: what is erased in turn: a step, or a feature of all steps.

    Returns:
        (T, …) or (I, …), a row for each part that was erased.

    >>> moved_by(torch.tensor([[1.0], [2.0]]), lambda x: 10 * x[:, :, 0].sum(0)).tolist()
    [10.0, 20.0]
    >>> moved_by(torch.tensor([[1.0], [2.0]]), lambda x: 10 * x[:, :, 0].sum(0), "features").tolist()
    [30.0]
    """
    steps = len(x)
    whole = answer(x[:, None])
    found: list[Tensor] = []
    count = steps if parts == "steps" else x.shape[1]
    groups = torch.arange(count, device=x.device).split(max(1, _MOST_STEPS // max(1, steps)))
    for erased in tracked(groups, "looking for what moved the answer", parts, size=len):
        without = x[:, None].repeat(1, len(erased), 1)
        rows = torch.arange(len(erased), device=x.device)
        if parts == "steps":
            without[erased, rows] = 0
        else:
            without[:, rows, erased] = 0
        found.append(whole - answer(without))
    return torch.cat(found)
