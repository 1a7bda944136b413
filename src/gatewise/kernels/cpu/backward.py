"""The backward pass on the engine: the loop through time, then the large products of all steps at once."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import Program
from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.forward import Saved, input_rows, stacked
from gatewise.kernels.cpu.jobs import Final, Job, Rows
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.products import multiply
from gatewise.kernels.cpu.program import BlocksOf, evaluate, functions, program
from gatewise.kernels.cpu.split import registers_per_output, split
from gatewise.kernels.cpu.weights import packed_weights

Gradients = tuple[Tensor | None, ...]


class _Run(NamedTuple):
    """Gradients side by side whose outer products with one operand fill blocks on top of each other."""

    operand: Expr
    first_slot: int
    blocks: tuple[Parameter, ...]


class _Loop(NamedTuple):
    """What the loop of one direction has made."""

    delta: Tensor  # (N, slots·H)
    operands: dict[Expr, Tensor]  # (N, H) each, but for states whose sequence serves as it is
    sums: Tensor  # (slices, sums, H)


def backward(
    call: Call, output: Tensor, saved: Sequence[Saved], upstream: Sequence[Tensor | None], needed: Sequence[bool]
) -> Gradients:
    """The gradients of a call that `forward` ran.

    Arguments:
        call: what was computed.
        output: its output.
        saved: what it kept.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.

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
        x_gradient = memory.empty(tuple(call.x.shape), call.x.dtype)
    parameters: list[Tensor | None] = []
    for at, (single, way, loop) in enumerate(
        zip(call.single_directions(), (kept.order for kept in saved), loops, strict=True)
    ):
        wanted = needed[1 + states + at * groups : 1 + states + (at + 1) * groups]
        parameters += _parameter_gradients(single, output, at, way, saved[at], loop, wanted)
        if x_gradient is not None:
            _add_input_gradient(single, way, loop, x_gradient, first=at == 0)
    found = [x_gradient, *initial, *parameters]
    return tuple(gradient if wanted else None for gradient, wanted in zip(found, needed, strict=True))


def _loops(
    call: Call, output: Tensor, saved: Sequence[Saved], upstream: Sequence[Tensor | None], initial: list[Tensor]
) -> list[_Loop]:
    made = program(call.cell.equations)
    steps, batch, _ = call.x.shape
    hidden, dtype, states = call.hidden_size, call.x.dtype, call.cell.states
    recurrent_blocks = sum(len(product.blocks) for stage in made.backward.stages for product in stage.products)
    shared = split(batch, hidden, steps, recurrent_blocks, call.direction_count)
    lanes = engine(dtype).lanes[dtype]
    widest = max((stage.outputs for stage in made.backward.stages), default=1)
    rows_each = batch if shared.units else -(-batch // shared.slices)
    blocks = registers_per_output(rows_each, 1, hidden, lanes, shared.slices if shared.units else 1)
    del widest
    nothing = jobs.zero_rows(hidden, dtype)
    output_gradient = None if upstream[0] is None else _rows_dense(upstream[0])
    all_jobs: list[Job] = []
    loops: list[_Loop] = []
    after: list[tuple[Tensor, Tensor, Tensor]] = []
    for at, (single, kept) in enumerate(zip(call.single_directions(), saved, strict=True)):
        way = kept.order
        parameters = BlocksOf(single)
        columns = slice(at * hidden, (at + 1) * hidden)
        rows: dict[str, Rows] = {"saved": Rows(jobs.ABSENT)}
        if kept.values is not None:
            rows["saved"] = Rows(jobs.SEQUENCE, kept.values, kept.values.stride(0))
        if output_gradient is None:
            rows["output gradient"] = Rows(jobs.PER_ROW, nothing, 0)
        else:
            part = output_gradient[:, columns]
            part = part if way.index is None else part.index_select(0, way.index)
            rows["output gradient"] = Rows(jobs.SEQUENCE, part, part.stride(0))
        ends: list[Final] = []
        for index, state in enumerate(states):
            sequence = _state_sequence(output, columns, way, kept, index)
            start = single.initial[index][0]
            start = start if way.row is None else start.index_select(0, way.row)
            start = start if start.stride(-1) == 1 else start.contiguous()
            rows[f"previous {state}"] = Rows(jobs.SEQUENCE_PREVIOUS, sequence, sequence.stride(0), start)
            rows[f"next {state}"] = Rows(jobs.SEQUENCE, sequence, sequence.stride(0))
            carried = torch.empty((batch, hidden), dtype=dtype)
            end = upstream[1 + index]
            if end is None:
                final_gradient = nothing
            else:
                final_gradient = end[at] if way.row is None else end[at].index_select(0, way.row)
                final_gradient = final_gradient if final_gradient.stride(-1) == 1 else final_gradient.contiguous()
            rows[f"arriving {state}"] = Rows(jobs.GRADIENT_ARRIVING, carried, hidden, final_gradient)
            rows[f"sent {state}"] = Rows(jobs.PER_ROW, carried, hidden)
            target = initial[index][at]
            if way.row is not None:
                sorted_target = torch.empty_like(target)
                after.append((target, way.row, sorted_target))
                target = sorted_target
            ends.append(Final(f"arriving {state}", target))
        slots = made.backward.arrays.get("delta", 0)
        delta = memory.empty((way.places, slots * hidden), dtype)
        rows["delta"] = Rows(jobs.SEQUENCE, delta, delta.stride(0))
        operands: dict[Expr, Tensor] = {}
        for operand, slot in made.backward.slots.items():
            if slot.array != "delta":
                if operand.op == "state" and way.index is None and way.cut is None:
                    rows[slot.array] = Rows(jobs.ABSENT)
                else:
                    operands[operand] = memory.empty((way.places, hidden), dtype)
                    rows[slot.array] = Rows(jobs.SEQUENCE, operands[operand], hidden)
        between = made.backward.arrays.get("between", 0)
        if between:
            scratch = memory.empty((batch, between * hidden), dtype)
            rows["between"] = Rows(jobs.PER_ROW, scratch, scratch.stride(0))
        values: dict[Expr, Tensor] = {}
        sums = torch.zeros((shared.slices, len(made.backward.sums), hidden), dtype=dtype)
        all_jobs.append(
            jobs.job(
                made.backward,
                functions(call.cell.equations, dtype, True),
                way,
                hidden,
                True,
                rows,
                [evaluate(vector, values, parameters).contiguous() for vector in made.backward.vectors],
                packed_weights(
                    made.backward,
                    single.parameters,
                    parameters,
                    hidden,
                    blocks * lanes,
                    backward=True,
                    training=True,
                ),
                blocks,
                sums,
                ends,
                nothing,
                shared.units,
            )
        )
        loops.append(_Loop(delta, operands, sums))
    jobs.run(dtype, all_jobs, shared.slices)
    for to, index, source in after:
        to.index_copy_(0, index, source)
    return loops


def _state_sequence(output: Tensor, columns: slice, way: Order, kept: Saved, index: int) -> Tensor:
    """The values of a state by place, (N, H)."""
    if index > 0:
        return kept.states[index - 1]
    sequence = output.view(-1, output.shape[-1])[:, columns]
    return sequence if way.index is None else sequence.index_select(0, way.index)


def _rows_dense(gradient: Tensor) -> Tensor:
    """An output gradient (T, B, D·H) as rows (T·B, D·H)."""
    return gradient.contiguous().view(-1, gradient.shape[-1])


@cache
def _runs(equations: str) -> tuple[_Run, ...]:
    """The outer products of the parameter gradients, as few and as large as the layouts allow."""
    made = program(equations)
    cell = made.plan.cell
    runs: list[_Run] = []
    for outer in sorted(
        made.plan.backward.outers,
        key=lambda outer: (
            cell.groups.index(outer.block.group),
            cell.gates_of(outer.block.group).index(outer.block.gate),
        ),
    ):
        slot = made.backward.slots[outer.delta].block
        if runs:
            last = runs[-1]
            gates = cell.gates_of(outer.block.group)
            follows = (
                last.blocks[-1].group == outer.block.group
                and gates.index(last.blocks[-1].gate) + 1 == gates.index(outer.block.gate)
                and last.operand is outer.operand
                and last.first_slot + len(last.blocks) == slot
            )
            if follows:
                runs[-1] = _Run(last.operand, last.first_slot, (*last.blocks, outer.block))
                continue
        runs.append(_Run(outer.operand, slot, (outer.block,)))
    return tuple(runs)


def _parameter_gradients(
    call: Call, output: Tensor, at: int, way: Order, kept: Saved, loop: _Loop, wanted: Sequence[bool]
) -> list[Tensor | None]:
    made = program(call.cell.equations)
    hidden = call.hidden_size
    cell = call.cell
    gradients = {
        group: memory.empty(tuple(tensor.shape), tensor.dtype)
        for group, tensor, is_wanted in zip(cell.groups, call.parameters, wanted, strict=True)
        if is_wanted
    }
    filled: set[Parameter] = set()

    def part(block: Parameter, count: int = 1) -> Tensor:
        first = cell.gates_of(block.group).index(block.gate)
        return gradients[block.group][first * hidden : (first + count) * hidden]

    for run in _runs(cell.equations):
        if run.blocks[0].group not in gradients:
            continue
        delta = loop.delta[:, run.first_slot * hidden : (run.first_slot + len(run.blocks)) * hidden]
        out = part(run.blocks[0], len(run.blocks))
        add = run.blocks[0] in filled
        filled.update(run.blocks)
        for delta_rows, operand_rows in _pairs(call, output, at, way, kept, loop, run.operand, delta):
            multiply(delta_rows.t(), operand_rows, out=out, add=add)
            add = True
    _vector_gradients(made, call, loop, gradients, filled, part)
    for group, gradient in gradients.items():
        for index, gate in enumerate(cell.gates_of(group)):
            if Parameter(group, gate) not in filled:
                gradient[index * hidden : (index + 1) * hidden] = 0
    return [gradients.get(group) for group in cell.groups]


def _pairs(
    call: Call, output: Tensor, at: int, way: Order, kept: Saved, loop: _Loop, operand: Expr, delta: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Gradients and the operand's values, row by row of the same place."""
    if operand.op == "input":
        return [(delta, input_rows(call, way))]
    if operand in loop.operands:
        return [(delta, loop.operands[operand])]
    # A state without cuts: its own sequence, one step apart, after its initial value.
    index = call.cell.states.index(str(operand.attr))
    hidden = call.hidden_size
    sequence = _state_sequence(output, slice(at * hidden, (at + 1) * hidden), way, kept, index)
    initial = call.initial[index][0]
    initial = initial if initial.stride(-1) == 1 else initial.contiguous()
    batch = way.rows
    if way.reverse:
        return [(delta[:-batch], sequence[batch:]), (delta[-batch:], initial)]
    return [(delta[batch:], sequence[:-batch]), (delta[:batch], initial)]


def _vector_gradients(
    made: Program,
    call: Call,
    loop: _Loop,
    gradients: dict[str, Tensor],
    filled: set[Parameter],
    part: "object",
) -> None:
    """From the sums of the loop to the gradients of the parameters in the hoisted expressions."""
    from_sums = made.plan.backward.parameters
    blocks = BlocksOf(call)
    values: dict[Expr, Tensor] = {}
    totals = loop.sums.sum(dim=0) if loop.sums.shape[0] > 1 else loop.sums[0]
    number = {expression: at for at, expression in enumerate(made.plan.hoisted)}
    for at, expression in enumerate(made.backward.sums):
        values[Expr.make("gradient", attr=str(number[expression]))] = totals[at]
    for block, expression in from_sums.vectors.items():
        if block.group in gradients:
            _put(part(block), evaluate(expression, values, blocks), block, filled)  # type: ignore[operator]
    for block, pairs in from_sums.matrices.items():
        if block.group in gradients:
            for delta, operand in pairs:
                outer = torch.outer(evaluate(delta, values, blocks), evaluate(operand, values, blocks))
                _put(part(block), outer, block, filled)  # type: ignore[operator]


def _put(to: Tensor, value: Tensor, block: Parameter, filled: set[Parameter]) -> None:
    if block in filled:
        to += value
    else:
        to.copy_(value)
        filled.add(block)


def _add_input_gradient(call: Call, way: Order, loop: _Loop, to: Tensor, *, first: bool) -> None:
    """Add this direction's share of the gradient of x; the first direction fills what nobody has."""
    hidden = call.hidden_size
    blocks = BlocksOf(call)
    rows = to.view(-1, to.shape[-1])
    runs = [run for run in _runs(call.cell.equations) if run.operand.op == "input"]
    if not runs:  # x cancels in the equations
        rows.zero_()
        return
    target = rows if way.index is None else memory.empty((way.places, rows.shape[1]), rows.dtype)
    add = way.index is None and not first
    for run in runs:
        delta = loop.delta[:, run.first_slot * hidden : (run.first_slot + len(run.blocks)) * hidden]
        multiply(delta, stacked(call, run.blocks, blocks), out=target, add=add)
        add = True
    if way.index is not None:
        if first:
            rows.zero_()
        rows.index_add_(0, way.index, target)
