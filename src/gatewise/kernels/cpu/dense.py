"""Tensors whose memory the engine can read as it is, or copies that are."""

from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.plain import plain


def dense_call(call: Call) -> Call:
    """The call with plain, dense tensors; of x only the features need be dense.

    A tensor without memory is found when its address is taken; see `plain`.
    """
    lengths = call.lengths
    if (
        is_dense_sequence(call.x)
        and all(map(is_dense, call.initial))
        and all(map(is_dense, call.parameters))
        and (lengths is None or lengths.is_contiguous())
    ):
        return call
    call = plain(call)
    call = call.with_tensors((dense_sequence(call.x), *map(dense, call.initial), *map(dense, call.parameters)))
    call.lengths = None if lengths is None else lengths.contiguous()
    return call


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements of a strided tensor follow each other in memory as they are."""
    return tensor.is_contiguous() and not tensor.is_neg()


def is_dense_sequence(tensor: Tensor) -> bool:
    """The same of the features of a sequence (T, B, features): its steps and rows may have any strides."""
    return (tensor.stride(2) == 1 or tensor.shape[2] == 1) and not tensor.is_neg()


def dense(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that `is_dense`."""
    return tensor if is_dense(tensor) else tensor.resolve_neg().contiguous()


def dense_sequence(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that `is_dense_sequence`."""
    return tensor if is_dense_sequence(tensor) else tensor.resolve_neg().contiguous()
