"""Back-propagation through time around the backends, each of which is a function that autograd can follow.

A second derivative that a backend does not have is that of the reference.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.backend import DifferentiableBackend, differentiates
from gatewise.kernels.call import Call
from gatewise.kernels.differentiable import batched, differentiable_gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on
from gatewise.kernels.segments import leaves_of, recomputed, run_by_segments


def run_differentiable(call: Call, backend: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a call so that its result can be differentiated, any number of times."""
    runs = BACKENDS[backend]
    tensors = call.tensors
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return runs.forward(call, False)[:2]
    if differentiates(runs):
        output, *finals = _apply(call.cell.name)(runs, call, *tensors)
        return output, tuple(finals)
    if call.checkpoint_every is not None:
        output, *finals = Checkpointed.apply(call, backend, *tensors)
        return output, tuple(finals)
    # cuDNN has no second derivative; on the CPU autograd's own graph has all of them.
    if backend == "torch" and call.x.is_cuda:
        output, *finals = Recorded.apply(call, backend, *tensors)
        return output, tuple(finals)
    return runs.forward(call, False)[:2]


class Differentiated(torch.autograd.Function):
    """A run of a backend that differentiates itself; the second derivative is the reference's."""

    @staticmethod
    def forward(ctx: Any, backend: DifferentiableBackend, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        # Copies: what the caller writes to them before the backward pass does not count.
        if call.lengths is not None:
            call.lengths = call.lengths.clone()
        if call.reset is not None:
            call.reset = call.reset.clone()
        output, finals, saved = backend.forward(call, True)
        ctx.backend, ctx.call, ctx.count = backend, call.without_tensors(), len(tensors)
        ctx.save_for_backward(*tensors, *saved)
        ctx.set_materialize_grads(False)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        saved, needed = ctx.saved_tensors, ctx.needs_input_grad[2:]  # saved tensors are unpacked once
        call = ctx.call.with_tensors(saved[: ctx.count])
        if torch.is_grad_enabled() or batched(upstream):
            return None, None, *differentiable_gradients(call, upstream, needed)
        return None, None, *ctx.backend.backward(call, saved[ctx.count :], upstream, needed)


@cache
def _apply(cell: str) -> Callable[..., tuple[Tensor, ...]]:
    """`Differentiated.apply` under the name of a cell, which profilers and graphs show: ``Fused_lstm_Backward``.

    What `torch.autograd.Function` adds to it is for transforms of torch.func, which never come here.
    """
    return super(torch.autograd.Function, type(f"Fused_{cell}_", (Differentiated,), {})).apply  # pyright: ignore[reportAttributeAccessIssue]


class Checkpointed(torch.autograd.Function):
    """A run that keeps its arguments and the states between segments; its backward pass runs each segment again."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        output, finals, reaching = run_by_segments(call, backend)
        ctx.call, ctx.backend, ctx.count = call, backend, len(tensors)
        ctx.save_for_backward(*tensors, *(state for direction in reaching for state in direction))
        ctx.set_materialize_grads(False)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        saved = ctx.saved_tensors  # asked for once: torch.utils.checkpoint unpacks no tensor twice
        call, needed = ctx.call.with_tensors(saved[: ctx.count]), ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or batched(upstream):
            return None, None, *differentiable_gradients(call, upstream, needed)
        states = len(call.initial)
        reaching = [saved[at : at + states] for at in range(ctx.count, len(saved), states)]
        return None, None, *recomputed(call, ctx.backend, upstream, needed, reaching)


class Recorded(torch.autograd.Function):
    """A run whose own graph is kept for the first derivative; the second is the reference's."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        leaves = leaves_of(tensors, ctx.needs_input_grad[2:])
        with torch.enable_grad():
            output, finals = run_on(backend, call.with_tensors(leaves))
        results = (output, *finals)
        ctx.call, ctx.backend, ctx.count = call, backend, len(tensors)
        # Saved, not kept as attributes, so that the graph goes when a backward pass does not retain it.
        ctx.save_for_backward(*tensors, *leaves, *results)
        ctx.set_materialize_grads(False)
        return tuple(result.detach() for result in results)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        saved, count, needed = ctx.saved_tensors, ctx.count, ctx.needs_input_grad[2:]
        tensors, leaves, results = saved[:count], saved[count : 2 * count], saved[2 * count :]
        call = ctx.call.with_tensors(tensors)
        if torch.is_grad_enabled() or batched(upstream):
            return None, None, *differentiable_gradients(call, upstream, needed)
        if not any(result.requires_grad for result in results):
            # Hooks on saved tensors (torch.utils.checkpoint, offloading) have taken the graph away.
            return None, None, *recomputed(call, ctx.backend, upstream, needed)
        return None, None, *gradients_of(results, upstream, leaves, needed, retain_graph=True)
