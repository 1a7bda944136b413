"""`watch`: the way into a trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from gatewise.diagnostics.trace import Trace
from gatewise.kernels import recording


def _compiled(model: nn.Module) -> bool:
    # Its import takes seconds, and before it nothing is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    kinds = () if dynamo is None else (dynamo.OptimizedModule,)
    return any(isinstance(one, kinds) or one._compiled_call_impl is not None for one in model.modules())


def new_trace(model: nn.Module, *, gates: bool, keep: int) -> Trace:
    """A trace of a model that records nothing yet; see `watch`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise ValueError(f"keep: expected a number of passes of at least 1, got {keep!r}")
    if _compiled(model):
        raise ValueError(recording.COMPILED)
    trace = Trace(model, gates=gates, keep=keep)
    if not trace.modules:
        raise ValueError(
            f"model: expected gatewise.Recurrent layers in it, found none in {type(model).__name__}; "
            "torch.nn's own layers cannot be watched (gatewise.LSTM and GRU take their weights)"
        )
    return trace


@contextmanager
def watch(model: nn.Module, *, gates: bool = False, keep: int = 1) -> Iterator[Trace]:
    """Record what happens inside a model's recurrent layers, forward and backward, on the same fast kernels.

    Arguments:
        model: a module that is or holds `Recurrent` layers.
        gates: whether to keep every step's states and gradients, which `Gates.gradients` and `Trace.contributions`
            need; otherwise the norms of the gradients alone.
        keep: how many passes to keep. A pass holds on to the inputs of its layers.

    Returns:
        A context manager; what it gives answers questions during and after the ``with`` block.

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
