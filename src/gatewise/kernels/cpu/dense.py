"""Tensors whose memory the engine can read as it is, or copies that are."""

from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.plain import is_plain, plain


def dense_call(call: Call) -> Call:
    """The call with plain, dense tensors; of x only the features need be dense.

    Raises:
        ValueError: for a tensor whose storage has no memory, naming it.
    """
    call = plain(call)
    lengths = None if call.lengths is None else call.lengths.contiguous()
    after = (dense_features(call.x), *map(dense, call.initial), *map(dense, call.parameters))
    if lengths is call.lengths and all(new is old for new, old in zip(after, call.tensors, strict=True)):
        return call
    call = call.with_tensors(after)
    call.lengths = lengths
    return call


def dense(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that is dense and plain."""
    return tensor if tensor.is_contiguous() and is_plain(tensor) else tensor.resolve_neg().contiguous()


def dense_features(tensor: Tensor) -> Tensor:
    """The same of a sequence (T, B, features): its steps and rows may have any strides."""
    if (tensor.stride(2) == 1 or tensor.shape[2] == 1) and is_plain(tensor):
        return tensor
    return tensor.resolve_neg().contiguous()
