"""Attribution of a prediction to the steps of a sequence or their features, by erasure."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gatewise.progress import tracked

_MAX_STEPS = 50_000


@torch.no_grad()
def erasure_attributions(
    x: Tensor, output: Callable[[Tensor], Tensor], features: Sequence[Sequence[int]] | None = None
) -> Tensor:
    """The contribution of every step to an output: the output minus the output with the step's vector set to zero.

    Li et al. 2016, "Understanding neural networks through representation erasure", arXiv:1612.08220. Of
    log-odds, 0.69 means that the odds would be half without the step.

    Args:
        x: (T, I), the steps of one sequence.
        output: maps B sequences of equal length (T, B, I) to outputs (B, …).
        features: the columns of each of F features, which are erased in turn at all steps; None to erase each step.

    Returns:
        (T, …) or (F, …), a row for each erased part.

    >>> erasure_attributions(torch.tensor([[1.0], [2.0]]), lambda x: 10 * x[:, :, 0].sum(0)).tolist()
    [10.0, 20.0]
    >>> erasure_attributions(torch.tensor([[1.0], [2.0]]), lambda x: 10 * x[:, :, 0].sum(0), [[0]]).tolist()
    [30.0]
    """
    steps = len(x)
    whole = output(x[:, None])
    found: list[Tensor] = []
    count = steps if features is None else len(features)
    groups = torch.arange(count, device=x.device).split(max(1, _MAX_STEPS // max(1, steps)))
    for erased in tracked(groups, "attributing predictions", "steps" if features is None else "features", size=len):
        without = x[:, None].repeat(1, len(erased), 1)
        for row, part in enumerate(erased.tolist()):
            if features is None:
                without[part, row] = 0
            else:
                without[:, row, list(features[part])] = 0
        found.append(whole - output(without))
    return torch.cat(found)
