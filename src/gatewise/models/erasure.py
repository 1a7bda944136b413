"""Which steps of a sequence an answer rests on."""

from collections.abc import Callable

import torch
from torch import Tensor

_MOST_STEPS = 50_000


@torch.no_grad()
def moved_by(x: Tensor, answer: Callable[[Tensor], Tensor]) -> Tensor:
    """What every step moves: an answer as it is, less the answer when the step's vector is zero.

    Li et al. 2016, "Understanding neural networks through representation erasure", arXiv:1612.08220. Of
    log-odds, 0.69 means that without the step the odds would be half.

    Args:
        x: (T, I), the steps of one sequence.
        answer: gives (B, …) for B sequences of as many steps, (T, B, I).

    Returns:
        (T, …), a row for each step that was erased.

    >>> moved_by(torch.tensor([[1.0], [2.0]]), lambda x: 10 * x[:, :, 0].sum(0)).tolist()
    [10.0, 20.0]
    """
    steps = len(x)
    whole = answer(x[:, None])
    parts: list[Tensor] = []
    for erased in torch.arange(steps, device=x.device).split(max(1, _MOST_STEPS // max(1, steps))):
        without = x[:, None].repeat(1, len(erased), 1)
        without[erased, torch.arange(len(erased), device=x.device)] = 0
        parts.append(whole - answer(without))
    return torch.cat(parts)
