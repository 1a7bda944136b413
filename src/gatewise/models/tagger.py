"""Sequence labelling: input embedding, encoder, read-out, and optionally a conditional random field."""

import torch
from torch import Tensor, nn

from gatewise.layers.validation import State
from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.models.encoder import Encoder


class Tagger(nn.Module):
    """Scores of K tags (or K values) at each step.

    Args:
        steps: maps the inputs to steps (T, B, I).
        encoder: encodes the steps.
        tag_count: K.
        transitions: a conditional random field over the tags; without one each step is predicted independently.
        direct: the number of features whose scores of the K tags are at the end of a step, K after K. The encoder does
            not read these; they are added to its own, as those of features that are connected to the output directly
            (Huang et al. 2015, arXiv:1508.01991, "features connection tricks").

    >>> import torch
    >>> model = Tagger(nn.Identity(), Encoder("lstm", 3, 4, bidirectional=True), 5)
    >>> model((torch.randn(7, 2, 3),), torch.tensor([7, 2])).shape
    torch.Size([7, 2, 5])
    """

    def __init__(
        self,
        steps: nn.Module,
        encoder: Encoder,
        tag_count: int,
        transitions: ConditionalRandomField | None = None,
        *,
        direct: int = 0,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.encoder = encoder
        self.read_out = nn.Linear(encoder.width, tag_count)
        self.direct = direct
        self.transitions = transitions

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
        """The scores (T, B, K) of each step, for inputs of lengths (B,)."""
        return self.read(self.steps(*inputs), lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The scores (T, B, K) for steps (T, B, I)."""
        x, direct = self._divided(x)
        output, _ = self.encoder(x, lengths)
        return self._scores(output, direct)

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The scores (B, K) of one more step (B, I), and the new state; for an encoder in the forward direction."""
        x, direct = self._divided(x)
        output, state = self.encoder.recurrent.step(x, state)
        return self._scores(output, direct), state

    def _divided(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the encoder reads of steps (…, I), and the scores (…, K) of what is connected directly."""
        if not self.direct:
            return x, None
        tags = self.read_out.out_features
        width = self.direct * tags
        return x[..., :-width], x[..., -width:].unflatten(-1, (self.direct, tags)).sum(-2)

    def _scores(self, output: Tensor, direct: Tensor | None) -> Tensor:
        scores = self.read_out(output)
        return scores if direct is None else scores + direct

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best tags (T, B) int64 for scores (T, B, K); values in the padding are undefined."""
        return scores.argmax(-1) if self.transitions is None else self.transitions.decode(scores, lengths)

    def log_probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The logarithm of the probability of each tag at each step, (T, B, K), for scores (T, B, K)."""
        if self.transitions is None:
            return scores.log_softmax(-1)
        return self.transitions.probabilities(scores, lengths).clamp(min=torch.finfo(scores.dtype).tiny).log()
