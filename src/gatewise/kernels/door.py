"""The one door to the kernels: `run`."""

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from gatewise.kernels import operators
from gatewise.kernels.call import Call
from gatewise.kernels.dispatch import Choice, check_backend_name, choose
from gatewise.kernels.gradient import run_differentiable

_TRANSFORMED = "torch.func transforms are followed through the reference alone; use backend='auto'"
_EAGER_TYPES = (Tensor, torch.nn.Parameter)


def run(call: Call, *, backend: str = "auto", checkpoint_every: int | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute one layer over a sequence.

    Arguments:
        call: cell, tensors, lengths, resets and directions.
        backend: ``auto``, or ``cpu``, ``torch`` or ``reference`` by name.
        checkpoint_every: for the backward pass keep the states every so many steps and recompute the rest.

    Returns:
        Output (T, B, D·H), directions side by side, and the final states, each (D, B, H).

    Raises:
        ValueError: when lengths are out of range, or the named backend cannot run the call.
    """
    if torch.compiler.is_compiling() or not all(type(tensor) in _EAGER_TYPES for tensor in call.tensors):
        output, finals = operators.recurrent(
            call.x,
            call.initial,
            call.parameters,
            call.lengths,
            call.reset,
            call.cell.text,
            call.directions,
            backend,
            checkpoint_every,
        )
        return output, tuple(finals)
    return run_differentiable(call, backend_for(call, backend=backend).name, checkpoint_every)


def backend_for(call: Call, *, backend: str = "auto") -> Choice:
    """Which backend runs a call, and why.

    Raises:
        ValueError: as `run`.
    """
    if any(is_functorch_wrapped_tensor(tensor) for tensor in call.tensors):
        check_backend_name(backend)
        if backend not in ("auto", "reference"):
            raise ValueError(f"backend {backend!r} was asked for by name and cannot run this call: {_TRANSFORMED}")
        return Choice("reference", _TRANSFORMED)
    call.check_values()
    return choose(call, backend)
