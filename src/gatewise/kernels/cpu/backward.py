"""The backward pass on the engine: the loop through time, and what `after_loop` makes of it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import STATE_GRADIENTS, Program
from gatewise.equations import Expr
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.after_loop import Loop, add_input_gradient, parameter_gradients, state_sequence
from gatewise.kernels.cpu.forward import Saved
from gatewise.kernels.cpu.jobs import Job, Rows
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.program import BlocksOf, program, template
from gatewise.kernels.cpu.shown import Shown
from gatewise.kernels.cpu.split import Split, registers_per_output, split
from gatewise.kernels.cpu.sums import Sum, add_up
from gatewise.kernels.cpu.taping import current, one_pass
from gatewise.kernels.cpu.weights import are_frozen, kept_or_made, pack_products
from gatewise.kernels.cpu.weights import vectors as vectors_of

Gradients = tuple[Tensor | None, ...]


class Into(NamedTuple):
    """Where gradients go instead of into new tensors.

    Attributes:
        x: (T, B, I), rows dense, or None when it is not needed.
        add_to_x: whether x is added to rather than written.
        parameters: per direction and group, added to; None where not needed.
    """

    x: Tensor | None
    add_to_x: bool
    parameters: Sequence[Tensor | None]


@one_pass
def backward(
    call: Call,
    output: Tensor,
    saved: Sequence[Saved],
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    into: Into | None = None,
) -> Gradients:
    """The gradients of a call that `forward` ran.

    Arguments:
        call: what was computed.
        output: its output.
        saved: what it kept.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.
        into: where those of x and the parameters go; None: into new tensors.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed.
    """
    states = len(call.cell.states)
    groups = len(call.cell.groups)
    if call.x.shape[1] == 0:
        return tuple(torch.zeros_like(t) if wanted else None for t, wanted in zip(call.tensors, needed, strict=True))
    initial = [torch.empty_like(state, memory_format=torch.contiguous_format) for state in call.initial]
    loops = _loops(call, output, saved, upstream, initial)
    x_gradient: Tensor | None = None
    if needed[0]:
        x_gradient = memory.empty(tuple(call.x.shape), call.x.dtype) if into is None else into.x
    parameters: list[Tensor | None] = []
    for at, (single, way, loop) in enumerate(
        zip(call.single_directions(), (kept.order for kept in saved), loops, strict=True)
    ):
        own = slice(at * groups, (at + 1) * groups)
        totals = None if into is None else into.parameters[own]
        parameters += parameter_gradients(single, output, at, way, saved[at], loop, needed[1 + states :][own], totals)
        if x_gradient is not None:
            first = at == 0 and (into is None or not into.add_to_x)
            add_input_gradient(single, way, loop, x_gradient, first=first)
    found = [x_gradient, *initial, *parameters]
    return tuple(gradient if wanted else None for gradient, wanted in zip(found, needed, strict=True))


def _loops(
    call: Call, output: Tensor, saved: Sequence[Saved], upstream: Sequence[Tensor | None], initial: Sequence[Tensor]
) -> list[Loop]:
    batch, hidden, dtype = call.x.shape[1], call.hidden_size, call.x.dtype
    made = program(call.cell.equations)
    shared = split(batch, hidden, len(call.whole.x), made.transposed_blocks, call.direction_count)
    gradient = upstream[0]
    if gradient is not None:
        gradient = gradient.contiguous().view(-1, gradient.shape[-1])
    all_jobs: list[Job] = []
    loops: list[Loop] = []
    for at, (single, kept) in enumerate(zip(call.single_directions(), saved, strict=True)):
        job, loop = _job(single, made, output, kept, shared, gradient, upstream[1:], initial, at)
        all_jobs.append(job)
        loops.append(loop)
    jobs.run(dtype, all_jobs, shared.slices)
    for single, kept, loop in zip(call.single_directions(), saved, loops, strict=True):
        if (shown := loop.shown) is not None:
            shown.tell(single, kept.order.index)
            if (writing := current()) is not None:
                writing.afterwards(single.directions, lambda call, _, shown=shown: shown.tell(call, None))
    return loops


def _job(
    call: Call,
    made: Program,
    output: Tensor,
    kept: Saved,
    shared: Split,
    output_gradient: Tensor | None,
    final_gradients: Sequence[Tensor | None],
    initial: Sequence[Tensor],
    at: int,
) -> tuple[Job, Loop]:
    """One direction, the one with number ``at``."""
    way, hidden = kept.order, call.hidden_size
    batch, dtype = way.rows, way.dtype
    rows_each = batch if shared.units else -(-batch // shared.slices)
    lanes = engine(dtype).lanes[dtype]
    registers = registers_per_output(rows_each, 1, hidden, lanes, shared.slices if shared.units else 1)
    blocks = BlocksOf(call)
    packed, vectors = kept_or_made(
        call.parameters,
        (call.cell.equations, "backward", registers),
        lambda: (
            pack_products(made.backward, blocks, hidden, registers * lanes, transposed=True),
            vectors_of(call, made.backward, kept=are_frozen(call.parameters)),
        ),
    )
    nothing = (jobs.zero_row(hidden, dtype).data_ptr(), 0)
    held: list[Tensor] = []
    rows: dict[str, Rows] = {"saved": jobs.NOWHERE}
    if kept.values is not None:
        rows["saved"] = jobs.rows(jobs.SEQUENCE, kept.values)
    if output_gradient is None:
        rows["output gradient"] = (jobs.PER_ROW, nothing[0], 0, 0, 0)
    else:
        part = output_gradient[:, at * hidden : (at + 1) * hidden]
        rows["output gradient"] = jobs.rows(jobs.SEQUENCE if way.index is None else jobs.INDEXED, part)
        held.append(part)
    carried = torch.empty((len(call.cell.states) * batch, hidden), dtype=dtype, device="cpu")
    ends: list[tuple[str, int, int]] = []
    for index, state in enumerate(call.cell.states):
        now, before = jobs.SEQUENCE, jobs.SEQUENCE_PREVIOUS
        if index == 0 and way.index is not None:
            now, before = jobs.INDEXED, jobs.INDEXED_PREVIOUS
        sequence = state_sequence(output, at, kept, index, hidden)
        start = call.initial[index][0]
        start = start if start.stride(-1) == 1 else start.contiguous()
        end, final_gradient = nothing, final_gradients[index]
        if final_gradient is not None:
            own = final_gradient[at]
            own = own if own.stride(-1) == 1 else own.contiguous()
            held.append(own)
            end = (own.data_ptr(), own.stride(0))
        arriving = carried.data_ptr() + index * batch * hidden * carried.element_size()
        rows[f"previous {state}"] = jobs.rows(before, sequence, (start.data_ptr(), start.stride(0)))
        rows[f"next {state}"] = jobs.rows(now, sequence)
        rows[f"arriving {state}"] = (jobs.GRADIENT_ARRIVING, arriving, end[0], hidden, end[1])
        rows[f"sent {state}"] = (jobs.PER_ROW, arriving, 0, hidden, 0)
        held += [sequence, start]
        ends.append((f"arriving {state}", initial[index][at].data_ptr(), hidden))
    delta = memory.empty((way.places, made.backward.arrays.get("delta", 0) * hidden), dtype)
    rows["delta"] = jobs.rows(jobs.SEQUENCE, delta)
    operands: dict[Expr, Tensor] = {}
    for operand, slot in made.backward.slots.items():
        if slot.array == "delta":
            continue
        if operand.op == "state" and way.index is None and way.cut is None:
            rows[slot.array] = jobs.NOWHERE
        else:
            operands[operand] = memory.empty((way.places, hidden), dtype)
            rows[slot.array] = jobs.rows(jobs.SEQUENCE, operands[operand])
    between = made.backward.arrays.get("between", 0)
    if between:
        scratch = memory.empty((batch, between * hidden), dtype)
        rows["between"] = jobs.rows(jobs.PER_ROW, scratch)
        held.append(scratch)
    rows[STATE_GRADIENTS] = jobs.NOWHERE
    if (shown := Shown.room_for(call, way, shared)) is not None:
        rows[STATE_GRADIENTS] = shown.rows
    shape = (shared.slices, len(made.backward.sums), hidden)
    sums = torch.empty(shape, dtype=dtype, device="cpu")
    add_up(dtype, [Sum(sums.data_ptr(), sums.numel(), ())], sums)
    job = template(call.cell.equations, dtype, hidden, True).job(
        way,
        rows,
        vectors,
        packed,
        registers,
        sums,
        ends,
        shared.units,
        norms=None if shown is None or shown.norms is None else (STATE_GRADIENTS, shown.norms),
        keep=(kept, carried, held, delta, operands, output_gradient, initial, shown),
    )
    return job, Loop(delta, operands, sums, shown)
