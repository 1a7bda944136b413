"""Choosing the next token from a model's scores."""

import torch
from torch import Tensor


def check_sampling(temperature: float, top_k: int | None, top_p: float | None, seed: int | None = None) -> None:
    """Check the options of `sampling_probabilities`, and the seed of what is drawn.

    Raises:
        ValueError: naming the option, what was expected and what came.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature: expected a number at least 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k: expected a number at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p: expected a number above 0 and at most 1, got {top_p}")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed: expected a number from -2**63 to 2**63 - 1, got {seed}")
    for name, value in (("top_k", top_k), ("top_p", top_p)):
        if temperature == 0 and value is not None:
            raise ValueError(f"{name}: has no effect: temperature 0 takes the most likely token")


def sampling_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The distribution to draw the next token from.

    The scores are divided by the temperature; then all but the `top_k` most likely tokens are dropped; then all but the
    fewest most likely ones that together have the probability `top_p` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: the scores, (V,).
        temperature: below 1 sharpens the distribution, above 1 flattens it; 0 takes the most likely token.
        top_k: how many tokens to keep.
        top_p: how much probability to keep.

    Returns:
        the probabilities, (V,), float64.

    >>> sampling_probabilities(torch.tensor([0.1, 0.3, 0.6]).log(), top_k=2).round(decimals=3).tolist()
    [0.0, 0.333, 0.667]
    """
    logits = logits.double()
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
    ordered, order = logits.sort(descending=True, stable=True)
    # Of differences no quotient is infinite and positive, however small the temperature.
    probabilities = ((ordered - ordered[0]) / temperature).softmax(-1)
    if top_k is not None:
        probabilities[top_k:] = 0
        probabilities /= probabilities.sum()
    if top_p is not None:
        before = probabilities.cumsum(-1) - probabilities
        probabilities[before >= top_p] = 0
        probabilities /= probabilities.sum()
    return torch.empty_like(probabilities).scatter_(0, order, probabilities)
