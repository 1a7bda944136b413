"""The lengths of the rows of a batch, from a tensor or a sequence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels import check_lengths
from gatewise.shapes import check_shape

Lengths = Tensor | Sequence[int]


def row_lengths(lengths: Lengths, batch: int, device: torch.device, steps: int | None = None) -> Tensor:
    """Lengths as a tensor.

    Args:
        lengths: an integer for each row.
        batch: the number of rows B.
        device: the device of the result.
        steps: T, to check the values; None to skip the check.

    Returns:
        (B,) int64.

    Raises:
        TypeError: when they are not integers.
        ValueError: when their number differs from B, or one is not between 0 and T.
    """
    given = lengths if isinstance(lengths, Tensor) else _tensor(lengths)
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"lengths: expected integers, got {given.dtype}; pass the number of steps of each row")
    check_shape("lengths", given.shape, [("B", batch)], "pass one length per row of the batch")
    found = given.to(device=device, dtype=torch.int64)
    if steps is not None:
        check_lengths(found, steps)
    return found


def _tensor(lengths: Sequence[int]) -> Tensor:
    try:
        return torch.as_tensor(lengths, dtype=None if len(lengths) else torch.int64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"lengths: expected integers, got {lengths!r:.60}; pass the number of steps of each row"
        ) from None
