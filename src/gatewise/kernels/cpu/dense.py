"""Copies of tensors that the engine cannot read directly."""

from torch import Tensor


def dense(tensor: Tensor) -> Tensor:
    """A strided tensor as contiguous memory."""
    return tensor.detach().resolve_neg().contiguous()
