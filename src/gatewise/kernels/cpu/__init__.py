"""The fused CPU backend: cells compiled from their equations, run by the engine on torch's own threads."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import library, program, repeated
from gatewise.kernels.cpu.backward import Into, backward
from gatewise.kernels.cpu.forward import forward, restored, widths
from gatewise.kernels.cpu.kind import Kind
from gatewise.kernels.cpu.order import order
from gatewise.kernels.differentiable import Gradients, batched, differentiable_gradients


def refusal(call: Call) -> str | None:
    """Why the engine cannot run a call, or None."""
    if call.x.device.type != "cpu":
        return f"the fused CPU kernels do not run on {call.x.device.type}"
    if any(tensor.layout is not torch.strided for tensor in call.tensors):
        return "the fused CPU kernels read strided tensors, and one here has another layout"
    if call.x.dtype not in library.SUFFIX:
        return (
            f"the fused CPU kernels compute in float32 and float64, not in {str(call.x.dtype).removeprefix('torch.')}"
        )
    if (missing := library.why_missing()) is not None:
        return missing
    return program.refusal(call.cell)


def run(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output (T, B, D·H) and final states, each (D, B, H)."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors):
        output, *finals = fused(call.cell.name).apply(Kind(call), *call.tensors)
        return output, tuple(finals)
    output, finals, _ = forward(_dense(call), keep=False)
    return output, finals


def kept_shapes(call: Call) -> list[tuple[int, int]]:
    """The shapes of what `run_keeping` keeps; they depend on no values, and on no engine either."""
    steps, batch = call.x.shape[:2]
    return [(steps * batch, width * call.hidden_size) for width in widths(call.cell)] * call.direction_count


def run_keeping(call: Call) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
    """Output, final states, and what `gradients` needs beside the output, of `kept_shapes`."""
    output, finals, saved = forward(_dense(call), keep=True, room=True)
    kept = [tensor for one in saved for tensor in one.tensors]
    for one in saved:
        for tensor in one.tensors:
            tensor[one.order.places :].zero_()  # room that is not used: the same run gives the same bits
    return output, finals, kept or [call.x.new_empty(shape) for shape in kept_shapes(call)]  # no rows, nothing kept


def gradients(
    call: Call, output: Tensor, kept: Sequence[Tensor], upstream: Sequence[Tensor | None], needed: Sequence[bool]
) -> Gradients:
    """The gradients of `Call.tensors` from what `run_keeping` gave."""
    orders = [order(single) for single in call.single_directions()]
    return backward(_dense(call), output, restored(call.cell, orders, kept), upstream, needed)


def run_into(call: Call, output: Tensor) -> tuple[Tensor, ...]:
    """The final states; the output goes where there is room for it, (T, B, D·H) with dense features."""
    return forward(_dense(call), keep=False, output=output)[1]


def again(call: Call, upstream: Sequence[Tensor | None], needed: Sequence[bool], into: Into) -> Gradients:
    """The gradients of `Call.tensors`, run again from them."""
    call = _dense(call)
    output, _, saved = forward(call, keep=True)
    return backward(call, output, saved, upstream, needed, into)


class Fused(torch.autograd.Function):
    """A run of the engine; the second derivative is the reference's."""

    @staticmethod
    def forward(ctx: Any, kind: Kind, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of a call."""
        output, finals, kept = repeated.forward(kind, tensors)
        ctx.kind, ctx.orders = kind, kept.orders
        ctx.save_for_backward(*tensors, output, *kept.tensors)
        ctx.set_materialize_grads(False)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        kind, needed = ctx.kind, ctx.needs_input_grad[1:]
        saved = ctx.saved_tensors  # asked for once: torch.utils.checkpoint unpacks no tensor twice
        count = len(needed)
        tensors = saved[:count]
        if torch.is_grad_enabled() or batched(upstream):
            return None, *differentiable_gradients(kind.call(tensors), upstream, needed)
        kept = repeated.Kept(ctx.orders, saved[count + 1 :])
        return None, *repeated.backward(kind, tensors, saved[count], kept, upstream, needed)


@cache
def fused(cell: str) -> type[Fused]:
    """`Fused` with the name of a cell, by which profilers and graphs show its node: ``Fused_lstm_Backward``."""
    return type(f"Fused_{cell}_", (Fused,), {})


def run_kind(kind: Kind, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Output and final states of a kind of call that the engine runs, to be differentiated."""
    return fused(kind.cell_name).apply(kind, *tensors)


def _dense(call: Call) -> Call:
    """The call with parameters whose elements stand one after the other."""
    if all(tensor.is_contiguous() for tensor in call.parameters):
        return call
    return call.with_tensors((call.x, *call.initial, *(parameter.contiguous() for parameter in call.parameters)))
