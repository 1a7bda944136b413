"""Checks tensors before the engine reads their memory: converts them to plain strided memory, or raises."""

from torch import Tensor, strided
from torch.nn import Parameter

from gatewise.kernels.call import Call

PLAIN_TYPES = (Tensor, Parameter)
"""Tensors of other types see the operators that are applied to them."""


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor's memory holds its values: strided, allocated, without a negative bit."""
    return tensor.layout is strided and not tensor.is_neg() and (tensor.data_ptr() != 0 or tensor.numel() == 0)


def check_allocated(name: str, tensor: Tensor) -> None:
    """Check that a tensor has memory, before an operation that would read address 0.

    Raises:
        ValueError: when its storage is empty.
    """
    if tensor.layout is strided and tensor.numel() and not tensor.untyped_storage().nbytes():
        raise ValueError(
            f"{name}: expected values for its shape {tuple(tensor.shape)}, got a tensor whose storage is empty "
            "(resized to nothing, or not gathered yet); give it back its values before the call"
        )


def plain(call: Call) -> Call:
    """The call with negative bits resolved.

    Raises:
        ValueError: for a tensor whose storage has no memory, naming it.
    """
    for name, tensor in {"lengths": call.lengths, "reset": call.reset}.items():
        if tensor is not None:
            check_allocated(name, tensor)
    if all(map(is_plain, call.tensors)):
        return call
    states = call.cell.states if call.initial else ()
    names = ["input", *(f"hx ({name})" for name in states), *(call.cell.groups * (call.layers * call.direction_count))]
    for name, tensor in zip(names, call.tensors, strict=True):
        check_allocated(name, tensor)
    return call.with_tensors(tuple(one.resolve_neg() if one.layout is strided else one for one in call.tensors))
