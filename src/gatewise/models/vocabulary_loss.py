"""The read-out to a large vocabulary and its cross entropy in one, so that the scores need not all be kept."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Scores that are held at a time: about what the processor's caches keep.
_CELLS = 4_000_000


class VocabularyLoss(NamedTuple):
    """What comes of a read-out.

    Attributes:
        objective: the sum of the smoothed cross entropy over tokens, (), with its history.
        nats: the sum of the plain one, (), without.
        hits: how many tokens have the highest score, () int64.
    """

    objective: Tensor
    nats: Tensor
    hits: Tensor


def vocabulary_loss(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0
) -> VocabularyLoss:
    """The cross entropy of softmax(W h + b), with labels smoothed (Szegedy et al. 2016, arXiv:1512.00567, section 7).

    Scores are made for some rows at a time, and their gradient at once, while they are in the processor's caches.

    Args:
        features: h, (N, E).
        weight: W, (V, E).
        bias: b, (V,).
        targets: (N,) int64.
        smoothing: how much of the probability goes to all tokens alike.

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
        sums = features.new_zeros(2, dtype=torch.float64)
        hits = targets.new_zeros(())
        rows = max(1, _CELLS // len(bias))
        with torch.autocast(features.device.type, enabled=False):
            for first in range(0, len(features), rows):
                part = slice(first, first + rows)
                scores = torch.addmm(bias, features[part], weight.t())
                target = targets[part, None]
                picked = scores.gather(1, target)[:, 0]
                mean = scores.mean(1)
                highest, best = scores.max(1, keepdim=True)
                hits += (best == target).sum()
                total = scores.sub_(highest).exp_().sum(1, keepdim=True)
                log_total = (total.log() + highest)[:, 0]
                nats = log_total - picked
                sums += torch.stack((((1 - smoothing) * nats + smoothing * (log_total - mean)).sum(), nats.sum()))
                if wanted:
                    scores.div_(total).sub_(smoothing / len(bias))
                    scores.scatter_add_(1, target, torch.full_like(picked[:, None], smoothing - 1))
                    gradients[0][part] = scores @ weight
                    gradients[1].addmm_(scores.t(), features[part])
                    gradients[2] += scores.sum(0)
        ctx.save_for_backward(*gradients)
        objective, nats = sums.to(features.dtype)
        ctx.mark_non_differentiable(nats, hits)
        return objective, nats, hits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return (*(gradient * upstream[0] for gradient in ctx.saved_tensors), None, None, None)
