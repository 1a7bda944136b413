"""The read-out to a large vocabulary and its cross entropy in one, so that not all logits are in memory at once."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits in memory at a time: about the size of the processor's caches.
_LOGITS_AT_A_TIME = 4_000_000


class VocabularyLoss(NamedTuple):
    """The loss of a read-out.

    Attributes:
        objective: the sum of the smoothed cross entropy over tokens, (), differentiable.
        loss_sum: the sum of the cross entropy without smoothing, (), detached.
        correct: the number of targets with the highest logit, () int64.
    """

    objective: Tensor
    loss_sum: Tensor
    correct: Tensor


def vocabulary_loss(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0
) -> VocabularyLoss:
    """The cross entropy of softmax(W h + b), with labels smoothed (Szegedy et al. 2016, arXiv:1512.00567, section 7).

    Logits are computed for some rows at a time together with their gradient, while they are in the processor's caches.

    Args:
        features: h, (N, E).
        weight: W, (V, E).
        bias: b, (V,).
        targets: (N,) int64.
        smoothing: the probability that is spread evenly over all tokens.

    >>> h, W, b, y = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7), torch.arange(5)
    >>> exact = torch.nn.functional.cross_entropy(h @ W.t() + b, y, label_smoothing=0.1, reduction="sum")
    >>> torch.allclose(vocabulary_loss(h, W, b, y, 0.1).objective, exact, rtol=1e-5)
    True
    """
    features = features.to(weight.dtype)
    return VocabularyLoss(*_Loss.apply(features, weight, bias, targets, smoothing, torch.is_grad_enabled()))


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, wanted: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        gradients = [torch.zeros_like(one) for one in (features, weight, bias)] if wanted else []
        totals = features.new_zeros(2, dtype=torch.float64)
        correct = targets.new_zeros(())
        rows = max(1, _LOGITS_AT_A_TIME // len(bias))
        with torch.autocast(features.device.type, enabled=False):
            for first in range(0, len(features), rows):
                part = slice(first, first + rows)
                scores = torch.addmm(bias, features[part], weight.t())
                target = targets[part, None]
                picked = scores.gather(1, target)[:, 0]
                mean = scores.mean(1)
                highest, best = scores.max(1, keepdim=True)
                correct += (best == target).sum()
                total = scores.sub_(highest).exp_().sum(1, keepdim=True)
                log_total = (total.log() + highest)[:, 0]
                cross_entropy = log_total - picked
                totals += torch.stack(
                    (((1 - smoothing) * cross_entropy + smoothing * (log_total - mean)).sum(), cross_entropy.sum())
                )
                if wanted:
                    scores.div_(total).sub_(smoothing / len(bias))
                    scores.scatter_add_(1, target, torch.full_like(picked[:, None], smoothing - 1))
                    gradients[0][part] = scores @ weight
                    gradients[1].addmm_(scores.t(), features[part])
                    gradients[2] += scores.sum(0)
        ctx.save_for_backward(*gradients)
        objective, loss_sum = totals.to(features.dtype)
        ctx.mark_non_differentiable(loss_sum, correct)
        return objective, loss_sum, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return (*(gradient * upstream[0] for gradient in ctx.saved_tensors), None, None, None)
