"""Copies of tensors that the engine cannot read directly."""

from torch import Tensor


def dense(tensor: Tensor) -> Tensor:
    """A strided tensor as contiguous memory."""
    tensor = tensor.detach()
    return (tensor.clone() if tensor._is_zerotensor() else tensor.resolve_neg()).contiguous()
