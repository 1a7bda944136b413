"""The fused CPU backend: cells compiled from their equations, run by the engine on torch's own threads."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from gatewise.compiler import plan
from gatewise.equations import Cell, topological
from gatewise.kernels import bfloat16
from gatewise.kernels.backend import Gradients, Saved
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import execution, library, parallelism, program


def refusal(call: Call) -> str | None:
    """The reason why the engine cannot run a call, or None."""
    if call.x.device.type != "cpu":
        return f"the fused CPU kernels do not run on {call.x.device.type}"
    if any(tensor.layout is not torch.strided for tensor in call.tensors):
        return "the fused CPU kernels read strided tensors, and one here has another layout"
    narrow = bfloat16.is_narrow(call)
    if call.x.dtype not in library.SUFFIX and not narrow:
        return (
            "the fused CPU kernels compute in float32, float64 and bfloat16, "
            f"not in {str(call.x.dtype).removeprefix('torch.')}"
        )
    if call.precision is not None and call.x.dtype is not torch.float32 and not (narrow and call.precision == "bf16"):
        return f"products in {call.precision} are of float32 tensors"
    if call.precision == "int8" and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors):
        return "products in int8 have no gradient; call the layer under torch.no_grad()"
    if (missing := library.why_missing()) is not None:
        return missing
    return program.refusal(call.cell)


def limitation(call: Call) -> str | None:
    """See `Backend.limitation`."""
    threads = parallelism.threads()
    if threads == 1:
        return None
    if call.x.shape[1] == 1 and sums_over_units(call.cell):
        return "sums over units need whole rows, so one row runs on one thread"
    limit, loss = library.engine().binding.contention()
    if limit < threads:
        number = "one thread" if limit == 1 else f"{limit} threads"
        return (
            f"on {number} while other programs use the processors: a team took {loss:.1f} times as long as one thread"
        )
    return None


@lru_cache(maxsize=256)
def sums_over_units(cell: Cell) -> bool:
    """Whether a step of a cell sums over units."""
    return any(node.op == "sum" for node in topological(cell.outputs))


def runs(cell: Cell) -> bool:
    """Whether the engine runs plain CPU tensors through a cell, in float32 and float64."""
    return library.why_missing() is None and (program.ready(cell) is not None or program.refusal(cell) is None)


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """See `Backend.forward`. Saves the output and (D, N, K·H + M·P + V), or the boundary states of segments."""
    if not bfloat16.is_narrow(call):
        return execution.forward(call, save)
    output, finals, saved = execution.forward(bfloat16.widened(call), save)
    return *bfloat16.narrowed(call, output, finals), saved


def backward(call: Call, saved: Saved, upstream: Sequence[Tensor | None], needed: Sequence[bool]) -> Gradients:
    """See `DifferentiableBackend.backward`."""
    if not bfloat16.is_narrow(call):
        return execution.backward(call, saved, upstream, needed)
    wide = [None if above is None else above.float() for above in upstream]
    gradients = execution.backward(bfloat16.widened(call), saved, wide, needed)
    pairs = zip(gradients, call.tensors, strict=True)
    return tuple([None if gradient is None else gradient.to(tensor.dtype) for gradient, tensor in pairs])


def saved_shapes(call: Call) -> list[tuple[int, ...]]:
    """See `DifferentiableBackend`: the saved tensors besides the output. Does not require the engine."""
    steps, batch = call.x.shape[:2]
    blocks, projections, row_values = _saved(call.cell)
    width = blocks * call.hidden_size + projections * call.projection_size + sum(call.state_sizes[1:]) + row_values
    return [(call.direction_count, steps * batch, width)]


@lru_cache(maxsize=256)
def _saved(cell: Cell) -> tuple[int, int, int]:
    made = plan(cell)
    projections = made.saved_projections
    return made.backward.saved_blocks - projections, projections, made.backward.saved_row_values
