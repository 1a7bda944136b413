"""One gate before any address is taken: plain, strided, allocated CPU memory, or made so."""

import operator

from torch import Tensor

from gatewise.kernels.call import Call


def plain(call: Call) -> Call:
    """The call with tensors whose memory the engine can read: dense ones, and for x at least dense features.

    Raises:
        ValueError: for a tensor without memory, as one whose storage was resized to nothing.
    """
    x, lengths, reset = call.x, call.lengths, call.reset
    before = (x, *call.initial, *call.parameters)
    after = (dense_features(x), *[dense(one) for one in before[1:]])
    new_lengths = None if lengths is None else dense(lengths)
    if new_lengths is lengths and all(map(operator.is_, after, before)):
        return call
    states = len(call.initial)
    return Call(
        call.cell,
        after[0],
        after[1 : 1 + states],
        after[1 + states :],
        new_lengths,
        reset,
        call.directions,
        call.record,
        call.checkpoint_every,
        call.fixed_shapes,
        call.packed,
    )


def dense(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that is plain memory."""
    if tensor.is_contiguous() and not tensor.is_neg() and (tensor.data_ptr() or not tensor.numel()):
        return tensor
    return _copy(tensor)


def dense_features(tensor: Tensor) -> Tensor:
    """The same of a sequence (T, B, features) that is only read: its steps and rows may have any strides."""
    if (tensor.stride(2) == 1 or tensor.shape[2] == 1) and not tensor.is_neg() and (tensor.data_ptr() or not tensor.numel()):
        return tensor
    return _copy(tensor)


def _copy(tensor: Tensor) -> Tensor:
    if tensor.numel() and not tensor.untyped_storage().nbytes():
        raise ValueError(
            f"a tensor of shape {tuple(tensor.shape)} has no memory (its storage was resized to nothing, or is not "
            "gathered yet); give it back its values before the call"
        )
    return tensor.resolve_neg().contiguous()
