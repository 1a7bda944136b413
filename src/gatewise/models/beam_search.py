"""Writing an answer token by token: the best one first (greedy), or several hypotheses side by side (beam search)."""

from typing import NamedTuple

import torch

from gatewise.models.decoder import Decoder, Start, as_state, parts_of


class Hypothesis(NamedTuple):
    """An answer.

    Attributes:
        tokens: without the end.
        log_probability: of the answer and its end, natural.
        score: what hypotheses are ranked by.
    """

    tokens: list[int]
    log_probability: float
    score: float


def length_norm(length: int, penalty: float) -> float:
    """What the log-probability of an answer of so many tokens, its end included, is divided by to be ranked.

    ((5 + n) / 6)^α (Wu et al. 2016, arXiv:1609.08144, eq. 14). Without it (α = 0) short answers win.

    >>> length_norm(1, 0.7), length_norm(7, 1.0)
    (1.0, 2.0)
    """
    return ((5 + length) / 6) ** penalty


@torch.no_grad()
def beam_search(
    decoder: Decoder, start: Start, end: int, *, width: int = 1, longest: int = 100, penalty: float = 1.0
) -> list[list[Hypothesis]]:
    """The best answers for each row.

    At every step each row keeps the most probable hypotheses; one that ends leaves, and the beam is narrower by one
    (Sutskever et al. 2014, section 3.2). A row is done when none is left, or none can rank before the best that ended;
    then it is dropped, and the others go on. Width 1 is greedy search. What has not ended after `longest` tokens is
    cut off there.

    Args:
        decoder: in evaluation mode.
        start: what its `begin` returned, for B rows.
        end: the token that ends an answer, and stands before its first.
        width: K, how many hypotheses are followed.
        longest: how many tokens an answer has at most, its end included.
        penalty: α of `length_norm`.

    Returns:
        for each row at least one and at most K answers, the highest score first.
    """
    parts = parts_of(start.state)
    rows, memory, device = torch.arange(parts[0].shape[1]), start.memory, parts[0].device
    found: list[list[Hypothesis]] = [[] for _ in rows]
    count = len(rows)
    parts = tuple(part.repeat(1, width, 1) for part in parts)  # all rows of a hypothesis side by side
    written = torch.full((1, width, count), end, device=device)
    # All hypotheses are the same yet: one of them is enough.
    sums = torch.full((count, width), float("-inf"), dtype=torch.float64, device=device)
    sums[:, 0] = 0.0
    limit = length_norm(longest, penalty)
    for length in range(1, longest + 1):
        scores, state = decoder.step(written[-1], memory, as_state(parts))
        parts = parts_of(state)
        # Of each hypothesis its best tokens, (B, K, ·), and of all of these the best.
        values, tokens = (part.transpose(0, 1) for part in scores.topk(min(width, scores.shape[2]), dim=2))
        certain = scores.logsumexp(2).t()[:, :, None]
        sums, places = (sums[:, :, None] + (values - certain)).flatten(1).topk(width, dim=1)
        tokens, origins = tokens.flatten(1).gather(1, places), places // tokens.shape[2]
        room = torch.tensor([width - len(found[row]) for row in rows.tolist()], device=device)
        sums = sums.masked_fill(torch.arange(width, device=device) >= room[:, None], float("-inf"))
        flat = (origins.t() * len(rows) + torch.arange(len(rows), device=device)).flatten()
        written = torch.cat((written.flatten(1)[:, flat].unflatten(1, (width, -1)), tokens.t()[None]))
        parts = tuple(part[:, flat] for part in parts)

        leaving = (tokens == end) | (length == longest)
        leaving &= sums.isfinite()
        for place, hypothesis in leaving.nonzero().tolist():
            answer = written[1:, hypothesis, place].tolist()
            total = float(sums[place, hypothesis])
            kept = answer[:-1] if answer[-1] == end else answer
            found[rows[place]].append(Hypothesis(kept, total, total / length_norm(length, penalty)))
        sums = sums.masked_fill(leaving, float("-inf"))
        best = sums.amax(1).tolist()
        going = [
            place
            for place, row in enumerate(rows.tolist())
            # A log-probability only falls, and nothing is divided by more than `limit`.
            if best[place] / limit > max((one.score for one in found[row]), default=float("-inf"))
        ]
        if not going:
            break
        if len(going) < len(rows):
            keep = torch.tensor(going, device=device)
            rows, sums, written = rows[keep.cpu()], sums[keep], written[:, :, keep]
            parts = tuple(part.unflatten(1, (width, -1))[:, :, keep].flatten(1, 2) for part in parts)
            memory = memory.rows(keep) if memory is not None else None
    return [sorted(answers, key=lambda one: -one.score) for answers in found]
