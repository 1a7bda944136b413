"""Merging the outputs of the two directions."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.layers.keywords import did_you_mean

Merge: TypeAlias = Literal["concat", "sum", "mean", "mul", "learned"] | None
MERGES = ("concat", "sum", "mean", "mul", "learned", None)


def check_merge(merge: str | None, bidirectional: bool) -> None:
    """Raise a ValueError unless the merge exists and there is something to merge."""
    if merge not in MERGES:
        known = ", ".join(repr(name) for name in MERGES)
        raise ValueError(f"merge: expected one of {known}, got {merge!r}{did_you_mean(merge, MERGES)}")
    if merge != "concat" and not bidirectional:
        raise ValueError(f"merge: {merge!r} combines two directions; pass bidirectional=True too, or omit merge")


def merged_width(merge: str | None, hidden_size: int, direction_count: int) -> int:
    """The width of a layer's merged output."""
    return hidden_size * (direction_count if merge in ("concat", None) else 1)


def merge_directions(
    output: Tensor, merge: str | None, weight: Tensor | None, bias: Tensor | None, valid: Tensor | None
) -> Tensor:
    """Combine the two directions of an output.

    Args:
        output: (T, B, 2·H), forward then reverse.
        merge: ``sum``, ``mean``, ``mul`` or ``learned``; otherwise the output is unchanged.
        weight, bias: (H, 2·H) and (H,) of the learned map.
        valid: (T, B, 1) bool, false in the padding, or None; the learned map's bias must not affect padding.

    Returns:
        (T, B, H), or (T, B, 2·H) if unchanged.
    """
    if merge in ("concat", None):
        return output
    if merge == "learned":
        assert weight is not None
        mapped = functional.linear(output, weight, bias)
        return mapped if valid is None else torch.where(valid, mapped, mapped.new_zeros(()))
    forward, reverse = output.chunk(2, dim=-1)
    if merge == "mul":
        return forward * reverse
    total = forward + reverse
    return total if merge == "sum" else total / 2
