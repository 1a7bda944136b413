"""A linear-chain conditional random field over tags: likelihood, marginals, Viterbi decoding."""

import torch
from torch import Tensor, nn

from gatewise.layers.row_lengths import Lengths, row_lengths
from gatewise.models.encoder import length_mask
from gatewise.models.viterbi import viterbi

_FORBIDDEN = -1e4
"""Finite, so that no gradient is undefined; exp of it is 0 in every floating point format."""


class ConditionalRandomField(nn.Module):
    """Scores of tag after tag (Lafferty et al. 2001; Lample et al. 2016, arXiv:1603.01360, section 2.2).

    The score of tags y for step scores s and transitions A is
    Σ_t s_t[y_t] + start[y_1] + Σ_t A[y_{t-1}, y_t] + end[y_T];
    their probability is the softmax over all sequences of tags. Forbidden transitions have probability 0.

    Args:
        allowed: (K + 1, K + 1) bool: whether tag j may follow tag i. Row K: whether a sequence may begin with j;
            column K: whether it may end with i. By default all are.
        tag_count: K, if `allowed` is not given.

    >>> field = ConditionalRandomField(tag_count=3)
    >>> scores, tags, lengths = torch.randn(5, 2, 3), torch.zeros(5, 2, dtype=torch.int64), torch.tensor([5, 2])
    >>> field.log_likelihood(scores, tags, lengths).shape, field.decode(scores, lengths).shape
    (torch.Size([2]), torch.Size([5, 2]))
    """

    allowed: Tensor

    def __init__(self, allowed: Tensor | None = None, tag_count: int = 0) -> None:
        super().__init__()
        if allowed is None:
            allowed = torch.ones(tag_count + 1, tag_count + 1, dtype=torch.bool)
        self.register_buffer("allowed", allowed, persistent=False)
        self.transitions = nn.Parameter(torch.empty(allowed.shape).uniform_(-0.1, 0.1))

    def log_likelihood(self, scores: Tensor, tags: Tensor, lengths: Lengths) -> Tensor:
        """The logarithm of the probability of tags.

        Args:
            scores: (T, B, K).
            tags: (T, B) int64; any valid tag in the padding.
            lengths: (B,) integers; a sequence without steps has probability 1.

        Returns:
            (B,).
        """
        lengths = row_lengths(lengths, scores.shape[1], scores.device, len(scores))
        return self._score(scores, tags, lengths) - self._log_partition(scores, lengths)

    def table(self, dtype: torch.dtype) -> Tensor:
        """The scores (K + 1, K + 1) of tag after tag; row K: of beginning with a tag, column K: of ending with it.

        Forbidden ones have −10⁴.
        """
        return self.transitions.to(dtype).masked_fill(~self.allowed, _FORBIDDEN)

    def _parts(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Transition scores (K, K), start scores (K,) and end scores (K,)."""
        table = self.table(dtype)
        return table[:-1, :-1], table[-1, :-1], table[:-1, -1]

    def _score(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        transition, start, end = self._parts(scores.dtype)
        valid = length_mask(len(scores), lengths)
        own = scores.gather(2, tags[..., None])[..., 0]
        moves = transition[tags[:-1], tags[1:]]
        last = tags.gather(0, (lengths - 1).clamp(min=0)[None])[0]
        total = own.where(valid, 0).sum(0) + moves.where(valid[1:], 0).sum(0)
        return total + (start[tags[0]] + end[last]).where(lengths > 0, 0)

    def _log_partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The forward algorithm: log Σ exp of the score over all sequences of tags, (B,)."""
        transition, start, end = self._parts(scores.dtype)
        first, *others = scores.unbind()
        alpha = start + first
        factors = transition.exp()
        least = torch.finfo(scores.dtype).tiny
        for scores_of_step, active in zip(others, length_mask(len(scores), lengths)[1:, :, None], strict=True):
            # logsumexp(alpha[:, :, None] + transition, 1) as a product of matrices, with K times fewer exponentials.
            # What underflows beside the best is clamped to the least positive number, so that its logarithm is finite.
            best = alpha.detach().amax(1, keepdim=True)
            further = ((alpha - best).exp() @ factors).clamp(min=least).log() + best + scores_of_step
            alpha = further.where(active, alpha)
        return torch.logsumexp(alpha + end, 1).where(lengths > 0, 0)

    def probabilities(self, scores: Tensor, lengths: Lengths) -> Tensor:
        """The marginal probability of each tag at each step.

        It is the derivative of the log partition function with respect to the score.

        Args:
            scores: (T, B, K).
            lengths: (B,) integers.

        Returns:
            (T, B, K), 0 in the padding, detached.
        """
        lengths = row_lengths(lengths, scores.shape[1], scores.device, len(scores))
        with torch.enable_grad():
            leaf = scores.detach().requires_grad_()
            (found,) = torch.autograd.grad(self._log_partition(leaf, lengths).sum(), leaf)
        return found

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Lengths) -> Tensor:
        """The most probable tags (Viterbi).

        Args:
            scores: (T, B, K).
            lengths: (B,) integers.

        Returns:
            (T, B) int64; in the padding the last tag.
        """
        lengths = row_lengths(lengths, scores.shape[1], scores.device, len(scores))
        return viterbi(scores, self.table(scores.dtype), lengths)
