"""Decoding token by token: greedy search or beam search."""

from typing import NamedTuple

import torch

from gatewise.models.decoder import Decoder, Start, as_state, state_tensors


class Hypothesis(NamedTuple):
    """A decoded sequence.

    Attributes:
        tokens: its tokens, without the end token.
        log_probability: its natural log-probability, the end token included.
        score: the length-normalised log-probability, by which hypotheses are ranked.
        is_complete: whether it has an end token; otherwise it was truncated at the maximum length.
    """

    tokens: list[int]
    log_probability: float
    score: float
    is_complete: bool = True


def length_norm(length: int, penalty: float) -> float:
    """The length penalty of a sequence of n tokens, the end token included, by which its log-probability is divided.

    ((5 + n) / 6)^α (Wu et al. 2016, arXiv:1609.08144, eq. 14). Without it (α = 0) short sequences are preferred.

    >>> length_norm(1, 0.7), length_norm(7, 1.0)
    (1.0, 2.0)
    """
    return ((5 + length) / 6) ** penalty


@torch.no_grad()
def beam_search(
    decoder: Decoder, start: Start, end: int, *, width: int = 1, max_length: int = 100, penalty: float = 1.0
) -> list[list[Hypothesis]]:
    """The best hypotheses of each row.

    At every step each row keeps the most probable hypotheses; one that ends leaves the beam, which narrows by one
    (Sutskever et al. 2014, section 3.2). A row is done when none is left, or none can rank before the best that ended;
    then it is dropped from the batch. Width 1 is greedy search. Hypotheses without an end token after `max_length`
    tokens are truncated.

    Args:
        decoder: in evaluation mode.
        start: the result of its `begin`, for B rows.
        end: the end token, which is also the first input.
        width: K, the number of hypotheses.
        max_length: the maximum number of tokens, the end token included.
        penalty: α of `length_norm`.

    Returns:
        for each row one to K hypotheses, the highest score first.
    """
    parts = state_tensors(start.state)
    rows, memory, device = torch.arange(parts[0].shape[1]), start.memory, parts[0].device
    found: list[list[Hypothesis]] = [[] for _ in rows]
    count = len(rows)
    parts = tuple(part.repeat(1, width, 1) for part in parts)  # all rows of a hypothesis are contiguous
    written = torch.full((1, width, count), end, device=device)
    # All hypotheses are equal at first: one of them is enough.
    log_probabilities = torch.full((count, width), float("-inf"), dtype=torch.float64, device=device)
    log_probabilities[:, 0] = 0.0
    limit = length_norm(max_length, penalty)
    for length in range(1, max_length + 1):
        scores, state = decoder.step(written[-1], memory, as_state(parts))
        parts = state_tensors(state)
        # Of each hypothesis its best tokens, (B, K, ·), and of all of these the best.
        values, tokens = (part.transpose(0, 1) for part in scores.topk(min(width, scores.shape[2]), dim=2))
        certain = scores.logsumexp(2).t()[:, :, None]
        log_probabilities, chosen = (log_probabilities[:, :, None] + (values - certain)).flatten(1).topk(width, dim=1)
        tokens, origins = tokens.flatten(1).gather(1, chosen), chosen // tokens.shape[2]
        room = torch.tensor([width - len(found[row]) for row in rows.tolist()], device=device)
        log_probabilities = log_probabilities.masked_fill(
            torch.arange(width, device=device) >= room[:, None], float("-inf")
        )
        flat = (origins.t() * len(rows) + torch.arange(len(rows), device=device)).flatten()
        written = torch.cat((written.flatten(1)[:, flat].unflatten(1, (width, -1)), tokens.t()[None]))
        parts = tuple(part[:, flat] for part in parts)

        leaving = (tokens == end) | (length == max_length)
        leaving &= log_probabilities.isfinite()
        for row, hypothesis in leaving.nonzero().tolist():
            answer = written[1:, hypothesis, row].tolist()
            total = float(log_probabilities[row, hypothesis])
            score = total / length_norm(length, penalty)
            found[rows[row]].append(
                Hypothesis(answer[:-1] if answer[-1] == end else answer, total, score, answer[-1] == end)
            )
        log_probabilities = log_probabilities.masked_fill(leaving, float("-inf"))
        best = log_probabilities.amax(1).tolist()
        active = [
            index
            for index, row in enumerate(rows.tolist())
            # A log-probability only falls, and nothing is divided by more than `limit`.
            if best[index] / limit > max((one.score for one in found[row]), default=float("-inf"))
        ]
        if not active:
            break
        if len(active) < len(rows):
            keep = torch.tensor(active, device=device)
            rows, log_probabilities, written = rows[keep.cpu()], log_probabilities[keep], written[:, :, keep]
            parts = tuple(part.unflatten(1, (width, -1))[:, :, keep].flatten(1, 2) for part in parts)
            memory = memory.rows(keep) if memory is not None else None
    return [sorted(hypotheses, key=lambda one: -one.score) for hypotheses in found]
