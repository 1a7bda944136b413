"""Dropout for sequences."""

import torch
from torch import Tensor, nn


class SequenceDropout(nn.Module):
    """Drops a unit at every step of a sequence or at none (Gal & Ghahramani 2016, arXiv:1512.05287, section 4).

    Better for tagging than a new mask at each step (Reimers & Gurevych 2017, arXiv:1707.06799), with T times fewer
    random numbers.

    Args:
        rate: the probability of dropping a unit.

    >>> dropout = SequenceDropout(0.5)
    >>> x = dropout(torch.ones(5, 2, 3))
    >>> torch.equal(x, x[:1].expand(5, 2, 3)), dropout.eval()(x) is x
    (True, True)
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop units of sequences (T, B, W)."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty_like(x[:1]).bernoulli_(1 - self.rate) / (1 - self.rate)
        return x * kept
