"""The fused CPU backend: cells compiled from their equations, run by the engine on torch's own threads."""

from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import library, program
from gatewise.kernels.cpu.backward import backward
from gatewise.kernels.cpu.forward import Saved, forward
from gatewise.kernels.differentiable import differentiable_gradients


def refusal(call: Call) -> str | None:
    """Why the engine cannot run a call, or None."""
    if call.x.device.type != "cpu":
        return f"the fused CPU kernels do not run on {call.x.device.type}"
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
        output, *finals = Fused.apply(call, *call.tensors)
        return output, tuple(finals)
    output, finals, _ = forward(_dense(call), keep=False)
    return output, finals


class Fused(torch.autograd.Function):
    """A run of the engine; the second derivative is the reference's."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states; ``tensors`` are those of the call."""
        output, finals, saved = forward(_dense(call), keep=True)
        buffers: list[Tensor | None] = []
        for one in saved:
            buffers += [one.values, *one.states]
        ctx.call, ctx.orders = call, [one.order for one in saved]
        ctx.save_for_backward(*tensors, output, *buffers)
        ctx.set_materialize_grads(False)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
        """Gradients of ``tensors``."""
        count = len(ctx.call.tensors)
        saved = ctx.saved_tensors  # asked for once: torch.utils.checkpoint unpacks no tensor twice
        tensors, (output, *buffers) = saved[:count], saved[count:]
        call, needed = ctx.call.with_tensors(tensors), ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(call, upstream, needed)
        each = len(call.cell.states)
        kept = [
            Saved(order, buffers[at * each], tuple(buffers[at * each + 1 : (at + 1) * each]))
            for at, order in enumerate(ctx.orders)
        ]
        return None, *backward(_dense(call), output, kept, upstream, needed)


def _dense(call: Call) -> Call:
    """The call with parameters whose elements stand one after the other."""
    if all(tensor.is_contiguous() for tensor in call.parameters):
        return call
    return call.with_tensors((call.x, *call.initial, *(parameter.contiguous() for parameter in call.parameters)))
