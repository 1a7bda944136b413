"""Back-propagation through time: each backend as an autograd function.

Second derivatives that a backend does not support are computed by the reference.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.backend import DifferentiableBackend, differentiates
from gatewise.kernels.call import Call
from gatewise.kernels.checkpointing import leaves_of, recomputed, run_by_segments
from gatewise.kernels.differentiable import batched, differentiable_gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on
from gatewise.kernels.plain import check_allocated


def run_differentiable(call: Call, backend: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a call such that its results are differentiable, any number of times."""
    runs = BACKENDS[backend]
    tensors = call.tensors
    if not (torch.is_grad_enabled() and _any_requires_grad(tensors)):
        output, finals, _ = runs.forward(call, False)
        return output, finals
    if differentiates(runs):
        output, *finals = _apply(call.cell.name)(runs, call, *tensors)
        return output, tuple(finals)
    if call.checkpoint_every is not None:
        output, *finals = Checkpointed.apply(call, backend, *tensors)
        return output, tuple(finals)
    # cuDNN has no second derivative; on the CPU autograd's graph has all of them.
    if backend == "torch" and call.x.is_cuda:
        output, *finals = Recorded.apply(call, backend, *tensors)
        return output, tuple(finals)
    return runs.forward(call, False)[:2]


def _any_requires_grad(tensors: Sequence[Tensor]) -> bool:
    for tensor in tensors:  # noqa: SIM110 (`any` of a generator takes twice as long)
        if tensor.requires_grad:
            return True
    return False


class Differentiated(torch.autograd.Function):
    """A run of a backend with its own backward pass; the second derivative is the reference's."""

    @staticmethod
    def forward(ctx: Any, backend: DifferentiableBackend, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        # Copied, so that later writes by the caller do not affect the backward pass.
        if call.lengths is not None:
            check_allocated("lengths", call.lengths)
            call.lengths = call.lengths.clone()
        if call.reset is not None:
            check_allocated("reset", call.reset)
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
    """`Differentiated.apply` named after the cell, as profilers and graphs show it: ``Fused_lstm_Backward``.

    It skips the support of `torch.autograd.Function` for torch.func transforms, which never reach this code.
    """
    return super(torch.autograd.Function, type(f"Fused_{cell}_", (Differentiated,), {})).apply  # pyright: ignore[reportAttributeAccessIssue]


class Checkpointed(torch.autograd.Function):
    """A run that saves its arguments and the boundary states; its backward pass recomputes each segment."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        output, finals, boundary_states = run_by_segments(call, backend)
        ctx.call, ctx.backend, ctx.count = call, backend, len(tensors)
        ctx.save_for_backward(*tensors, *(state for direction in boundary_states for state in direction))
        ctx.set_materialize_grads(False)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        saved = ctx.saved_tensors  # unpacked once, as torch.utils.checkpoint requires
        call, needed = ctx.call.with_tensors(saved[: ctx.count]), ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or batched(upstream):
            return None, None, *differentiable_gradients(call, upstream, needed)
        states = len(call.initial)
        boundary_states = [saved[index : index + states] for index in range(ctx.count, len(saved), states)]
        return None, None, *recomputed(call, ctx.backend, upstream, needed, boundary_states)


class Recorded(torch.autograd.Function):
    """A run whose autograd graph is saved for the first derivative; the second is the reference's."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        leaves = leaves_of(tensors, ctx.needs_input_grad[2:])
        with torch.enable_grad():
            output, finals = run_on(backend, call.with_tensors(leaves))
        results = (output, *finals)
        ctx.call, ctx.backend, ctx.count = call, backend, len(tensors)
        # Saved rather than attributes, so that the graph is freed unless it is retained.
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
            # Hooks on saved tensors (torch.utils.checkpoint, offloading) have dropped the graph.
            return None, None, *recomputed(call, ctx.backend, upstream, needed)
        return None, None, *gradients_of(results, upstream, leaves, needed, retain_graph=True)
