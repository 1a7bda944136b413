"""Pooling of a sequence to one vector: last state, mean, maximum, or a learned weighted mean (attention)."""

from typing import Literal

from torch import Tensor, nn

from gatewise.models.encoder import length_mask

Pool = Literal["last", "mean", "max", "attention"]


class Pooling(nn.Module):
    """Pools the outputs of a sequence to one vector.

    - last: each direction's hidden state at the end of what it reads;
    - mean, max: of the outputs, unit by unit;
    - attention: the mean of the outputs weighted by softmax over steps of vᵀ tanh(W h_t + b) (Yang et al. 2016,
      "Hierarchical Attention Networks", eq. 5-7).

    A sequence without steps is pooled to zeros.

    Args:
        kind: the kind of pooling.
        width: the width of the outputs.

    Attributes:
        kind: the kind of pooling.
    """

    def __init__(self, kind: Pool, width: int) -> None:
        super().__init__()
        self.kind: Pool = kind
        attends = kind == "attention"
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, False)) if attends else None

    def weights(self, output: Tensor, lengths: Tensor) -> Tensor:
        """The weight of each step, (T, B), of the kind attention."""
        assert self.score is not None
        valid = length_mask(output.shape[0], lengths.clamp(min=1))
        return self.score(output)[..., 0].masked_fill(~valid, float("-inf")).softmax(0)

    def forward(self, output: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        """Pool.

        Args:
            output: (T, B, W), 0 in the padding.
            final: (B, F), the hidden states at the ends.
            lengths: (B,) int64.

        Returns:
            (B, F) for last, else (B, W).
        """
        if self.kind == "last":
            return final
        if self.kind == "attention":
            return (self.weights(output, lengths)[..., None] * output).sum(0)
        if self.kind == "mean":
            return output.sum(0) / lengths.clamp(min=1)[:, None]
        valid = length_mask(output.shape[0], lengths.clamp(min=1))[..., None]
        return output.masked_fill(~valid, float("-inf")).max(0).values
