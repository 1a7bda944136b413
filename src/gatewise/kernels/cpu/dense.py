"""Copies of tensors that the engine cannot read as they are."""

from torch import Tensor


def dense(tensor: Tensor) -> Tensor:
    """The values of a strided tensor, one after the other in memory."""
    return tensor.detach().resolve_neg().contiguous()
