"""Sequence classification: input embedding, encoder, pooling, read-out."""

from torch import Tensor, nn

from gatewise.models.encoder import Encoder
from gatewise.models.pooling import Pool, Pooling


class Classifier(nn.Module):
    """Scores of K classes for each sequence.

    Args:
        steps: maps the inputs to steps (T, B, I); `torch.nn.Identity` for inputs that are steps already.
        encoder: encodes the steps.
        pool: how the outputs are pooled.
        class_count: K.

    >>> import torch
    >>> model = Classifier(nn.Identity(), Encoder("lstm", 3, 4, bidirectional=True), "max", 5)
    >>> model((torch.randn(7, 2, 3),), torch.tensor([7, 2])).shape
    torch.Size([2, 5])
    """

    def __init__(self, steps: nn.Module, encoder: Encoder, pool: Pool, class_count: int) -> None:
        super().__init__()
        self.steps = steps
        self.encoder = encoder
        self.pooling = Pooling(pool, encoder.width)
        self.read_out = nn.Linear(encoder.final_width if pool == "last" else encoder.width, class_count)

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
        """The scores (B, K) before the softmax, for inputs of lengths (B,)."""
        return self.read(self.steps(*inputs), lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The scores (B, K) for steps (T, B, I)."""
        output, final = self.encoder(x, lengths)
        return self.read_out(self.pooling(output, final, lengths))
