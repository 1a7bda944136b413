"""`watch`: record a trace of a model."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from gatewise.diagnostics.trace import Trace
from gatewise.kernels import observers


def _compiled(model: nn.Module) -> bool:
    # Importing it takes seconds; unless imported, no model can be compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    kinds = () if dynamo is None else (dynamo.OptimizedModule,)
    return any(isinstance(one, kinds) or one._compiled_call_impl is not None for one in model.modules())


def new_trace(model: nn.Module, *, gates: bool, keep: int) -> Trace:
    """A trace of a model that is not recording yet; see `watch`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise ValueError(f"keep: expected a number of passes of at least 1, got {keep!r}")
    if _compiled(model):
        raise ValueError(observers.COMPILED)
    trace = Trace(model, gates=gates, keep=keep)
    if not trace.modules:
        raise ValueError(
            f"model: expected a module with gatewise.Recurrent layers, found none in {type(model).__name__}; "
            "torch.nn layers cannot be watched (gatewise.LSTM and GRU load their weights)"
        )
    return trace


@contextmanager
def watch(model: nn.Module, *, gates: bool = False, keep: int = 1) -> Iterator[Trace]:
    """Record the recurrent layers of a model, forward and backward, on the same fast kernels.

    Args:
        model: a module that is or contains `Recurrent` layers.
        gates: whether to record the states and gradients of every step, as required by `Gates.gradients` and
            `Trace.contributions`; otherwise only the norms of the gradients.
        keep: number of passes to keep. A pass keeps the inputs of its layers in memory.

    Returns:
        A context manager that yields a `Trace`, usable during and after the ``with`` block.

    Raises:
        TypeError, ValueError: for a model without such layers, one that is compiled, or keep below 1.

    >>> import torch, gatewise
    >>> layer = gatewise.RNN(3, 4)
    >>> with gatewise.watch(layer) as trace:
    ...     layer(torch.randn(30, 2, 3))[0].square().mean().backward()
    >>> trace.gradient_flow()["h"].shape
    torch.Size([30])
    """
    trace = new_trace(model, gates=gates, keep=keep)
    with trace.recording():
        yield trace
