"""Back-propagation through time around the backends, each of which is a function that autograd can follow.

`recomputed` keeps nothing but the states every few steps and runs each segment again: `checkpoint_every` and the
operators in a compiled graph use it. A second derivative that a backend does not have is that of the reference.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.differentiable import Gradients, differentiable_gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on

# For so many steps per segment as the root of all steps, where kept states and one segment together take least.
AUTO = 0


def run_differentiable(call: Call, backend: str, checkpoint_every: int | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a call so that its result can be differentiated, any number of times.

    Arguments:
        call: what to compute.
        backend: the name of the backend.
        checkpoint_every: keep the states every so many steps (`AUTO` chooses) and recompute the rest, or None to keep
            everything.
    """
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors)
    if wanted and checkpoint_every is not None:
        output, *finals = Checkpointed.apply(call, backend, checkpoint_every, *call.tensors)
        return output, tuple(finals)
    # cuDNN has no second derivative; on the CPU autograd's own graph has all of them.
    if wanted and backend == "torch" and call.x.is_cuda:
        output, *finals = Recorded.apply(call, backend, *call.tensors)
        return output, tuple(finals)
    return run_on(backend, call)


class Checkpointed(torch.autograd.Function):
    """A run that keeps its arguments alone; its backward pass runs it again by segments."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, every: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        ctx.call, ctx.backend, ctx.every = call, backend, every
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        output, finals = run_in_training(backend, call)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        call, needed = ctx.call.with_tensors(ctx.saved_tensors), ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():
            return None, None, None, *differentiable_gradients(call, upstream, needed)
        return None, None, None, *recomputed(call, ctx.backend, upstream, needed, ctx.every)


class Recorded(torch.autograd.Function):
    """A run whose own graph is kept for the first derivative; the second is the reference's."""

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        leaves = _leaves(tensors, ctx.needs_input_grad[2:])
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
        if torch.is_grad_enabled():
            return None, None, *differentiable_gradients(call, upstream, needed)
        if not any(result.requires_grad for result in results):
            # Hooks on saved tensors (torch.utils.checkpoint, offloading) have taken the graph away.
            return None, None, *recomputed(call, ctx.backend, upstream, needed, None)
        return None, None, *gradients_of(results, upstream, leaves, needed, retain_graph=True)


def recomputed(
    call: Call, backend: str, upstream: Sequence[Tensor | None], needed: Sequence[bool], every: int | None
) -> Gradients:
    """The gradients of a call, run again from its arguments.

    Arguments:
        call: what was computed.
        backend: the backend to run it on.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.
        every: steps per segment, or `AUTO`; the states between segments are kept, the rest lives for one segment.
            None: all.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed or zero.
    """
    call = call.with_tensors(tuple(tensor.detach() for tensor in call.tensors))
    steps, hidden = call.x.shape[0], call.hidden_size
    if every == AUTO:
        every = math.isqrt(steps - 1) + 1
    if every is None or every >= steps:
        return _segment(call, backend, upstream, needed)
    total: list[Tensor | None] = [None] * len(call.tensors)
    states, groups = len(call.initial), len(call.cell.groups)
    wanted = (needed[0], *[True] * states)
    for at, single in enumerate(call.single_directions()):
        with torch.no_grad():
            segments = _segments(single, backend, every)
        output_gradient = upstream[0]
        if output_gradient is not None:
            output_gradient = output_gradient[..., at * hidden : (at + 1) * hidden]
        carried: Gradients = tuple(None if final is None else final[at : at + 1] for final in upstream[1:])
        of_parameters = slice(1 + states + at * groups, 1 + states + (at + 1) * groups)
        parts: list[tuple[int, Tensor | None]] = []
        for start, segment in reversed(segments):
            stop = start + segment.x.shape[0]
            piece = None if output_gradient is None else output_gradient[start:stop]
            gradients = _segment(segment, backend, (piece, *carried), (*wanted, *needed[of_parameters]))
            parts.append((start, gradients[0]))
            carried = gradients[1 : 1 + states]
            total[of_parameters] = map(_sum, total[of_parameters], gradients[1 + states :])
        if needed[0]:
            template = call.x.new_zeros(())
            pieces = [
                template.expand_as(call.x[start : start + every]) if part is None else part
                for start, part in sorted(parts, key=lambda part: part[0])
            ]
            total[0] = _sum(total[0], torch.cat(pieces))
        for state, gradient in enumerate(carried, start=1):
            if needed[state] and gradient is not None:
                whole = total[state]
                whole = torch.zeros_like(call.initial[state - 1]) if whole is None else whole
                whole[at] = gradient[0]
                total[state] = whole
    return tuple(total)


def run_in_training(backend: str, call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run for the values alone, but with gradients on where autograd has switched them off to record the whole.

    So backends do as in training: they do not trust that the weights are those of the last call.
    """
    with torch.enable_grad():
        return run_on(backend, call.with_tensors(tuple(tensor.detach() for tensor in call.tensors)))


def _segments(call: Call, backend: str, every: int) -> list[tuple[int, Call]]:
    """The windows of a call in the order in which they are run, each with the state that reaches it."""
    starts = list(range(0, call.x.shape[0], every))
    if call.directions == "reverse":
        starts.reverse()
    segments: list[tuple[int, Call]] = []
    states = call.initial
    for start in starts:
        segment = call.window(start, min(start + every, call.x.shape[0]), states)
        segments.append((start, segment))
        if start != starts[-1]:
            _, states = run_in_training(_able(backend, segment), segment)
    return segments


def _segment(call: Call, backend: str, upstream: Sequence[Tensor | None], needed: Sequence[bool]) -> Gradients:
    leaves = _leaves(call.tensors, needed)
    with torch.enable_grad():
        output, finals = run_on(_able(backend, call), call.with_tensors(leaves))
    return gradients_of((output, *finals), upstream, leaves, needed)


def _leaves(tensors: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in zip(tensors, needed, strict=True))


def _able(backend: str, segment: Call) -> str:
    """A window can be what the whole call is not: one direction, a row of length 0."""
    return backend if BACKENDS[backend].refusal(segment) is None else "reference"


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
