"""Whether something writes down the operations of this thread, to do them again on other values."""

from torch._C import (
    DispatchKey,
    _dispatch_tls_is_dispatch_key_included,
    _get_tracing_state,
    _len_torch_dispatch_stack,
)

_PRE_DISPATCH = DispatchKey.PreDispatch


def is_jit_traced() -> bool:
    """Whether there is a trace of `torch.jit.trace`."""
    return _get_tracing_state() is not None


def is_traced() -> bool:
    """Whether there is a trace or a dispatch mode.

    Such are `torch.jit.trace` and what is built on it (TensorBoard's graphs, ONNX's first exporter), and ``make_fx``.
    They see operators, and nothing of what the engine writes to memory. Sizes inside the former are tensors.
    """
    return (
        _get_tracing_state() is not None
        or _len_torch_dispatch_stack() > 0
        or _dispatch_tls_is_dispatch_key_included(_PRE_DISPATCH)
    )
