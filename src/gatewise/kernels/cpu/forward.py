"""The forward pass on the engine."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from gatewise.compiler.emit import Program
from gatewise.equations import Expr, Parameter, topological
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.jobs import Final, Job, Rows
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.order import Order, order
from gatewise.kernels.cpu.products import multiply
from gatewise.kernels.cpu.program import BlocksOf, evaluate, functions, program
from gatewise.kernels.cpu.split import registers_per_output, split
from gatewise.kernels.cpu.weights import packed_weights

X = Expr.make("input")


@dataclass(frozen=True)
class Saved:
    """What the backward pass of one direction needs beside the call and its output.

    Attributes:
        order: how rows and steps were processed.
        values: (N, S·H) values of `Backward.saved`; None without any.
        states: the states but the first, (N, H) each; the first is the output.
    """

    order: Order
    values: Tensor | None
    states: tuple[Tensor, ...]


def forward(call: Call, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], list[Saved]]:
    """Run a call.

    Arguments:
        call: what to compute.
        keep: whether a backward pass will follow.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and what the backward pass needs, by direction.
    """
    made = program(call.cell.equations)
    steps, batch, _ = call.x.shape
    hidden, dtype, states = call.hidden_size, call.x.dtype, call.cell.states
    output = memory.empty((steps, batch, call.direction_count * hidden), dtype)
    finals = [call.x.new_empty((call.direction_count, batch, hidden)) for _ in states]
    if batch == 0:
        return output, tuple(finals), []
    recurrent_blocks = sum(len(product.blocks) for stage in made.forward.stages for product in stage.products)
    shared = split(batch, hidden, steps, recurrent_blocks, call.direction_count)
    widest = max((len(product.blocks) for stage in made.forward.stages for product in stage.products), default=1)
    lanes = engine(dtype).lanes[dtype]
    rows_each = batch if shared.units else -(-batch // shared.slices)
    blocks = registers_per_output(rows_each, widest, hidden, lanes, shared.slices if shared.units else 1)
    zeros = torch.zeros(hidden, dtype=dtype)
    all_jobs: list[Job] = []
    saved: list[Saved] = []
    after: list[tuple[Tensor, Tensor, Tensor]] = []  # to, by which rows, from
    for at, single in enumerate(call.single_directions()):
        way = order(single)
        parameters = BlocksOf(single)
        values: dict[Expr, Tensor] = {}
        columns = slice(at * hidden, (at + 1) * hidden)
        x_side = _input_products(made, single, way, parameters, values)
        kept = made.plan.backward.saved
        value_rows = memory.empty((way.places, len(kept) * hidden), dtype) if keep and kept else None
        sequences: list[Tensor] = []
        rows: dict[str, Rows] = {
            "x": Rows(jobs.SEQUENCE, x_side, x_side.stride(0)),
            "saved": Rows(jobs.ABSENT) if value_rows is None else Rows(jobs.SEQUENCE, value_rows, value_rows.stride(0)),
        }
        ends: list[Final] = []
        for index, (state, initial) in enumerate(zip(states, single.initial, strict=True)):
            start = initial[0] if way.row is None else initial[0].index_select(0, way.row)
            start = start if start.stride(-1) == 1 else start.contiguous()
            first = index == 0
            if first and way.index is None:
                sequence = output.view(-1, output.shape[-1])[:, columns]
            else:
                length = way.places if first or keep else 2 * batch
                sequence = memory.empty((length, hidden), dtype)
            kinds = (jobs.SEQUENCE, jobs.SEQUENCE_PREVIOUS)
            if not (first or keep):
                kinds = (jobs.ALTERNATING, jobs.ALTERNATING_PREVIOUS)
            rows[f"next {state}"] = Rows(kinds[0], sequence, sequence.stride(0))
            rows[f"previous {state}"] = Rows(kinds[1], sequence, sequence.stride(0), start)
            sequences.append(sequence)
            final = finals[index][at]
            if way.row is not None:
                sorted_final = torch.empty_like(final)
                after.append((final, way.row, sorted_final))
                final = sorted_final
            ends.append(Final(f"previous {state}", final))
        if way.index is not None:
            target = output.view(-1, output.shape[-1])[:, columns]
            target.zero_()
            after.append((target, way.index, sequences[0]))
        between = made.forward.arrays.get("between", 0)
        if between:
            scratch = memory.empty((batch, between * hidden), dtype)
            rows["between"] = Rows(jobs.PER_ROW, scratch, scratch.stride(0))
        group = blocks * lanes
        all_jobs.append(
            jobs.job(
                made.forward,
                functions(call.cell.equations, dtype, False),
                way,
                hidden,
                False,
                rows,
                [evaluate(vector, values, parameters).contiguous() for vector in made.forward.vectors],
                packed_weights(
                    made.forward,
                    single.parameters,
                    parameters,
                    hidden,
                    group,
                    backward=False,
                    training=keep or torch.is_grad_enabled(),
                ),
                blocks,
                None,
                ends,
                zeros,
                shared.units,
            )
        )
        saved.append(Saved(way, value_rows, tuple(sequences[1:]) if keep else ()))
    jobs.run(dtype, all_jobs, shared.slices)
    for to, index, source in after:
        to.index_copy_(0, index, source)
    return output, tuple(finals), saved


def input_rows(call: Call, way: Order) -> Tensor:
    """The rows of x in the order of the sequence arrays, (N, I), features dense."""
    x = call.x.reshape(-1, call.x.shape[-1])
    if way.index is not None:
        return x.index_select(0, way.index)
    return x if x.stride(-1) == 1 else x.contiguous()


@cache
def _simple_inputs(equations: str) -> tuple[tuple[Parameter, ...], tuple[Expr | None, ...]] | None:
    """When every value from x alone is one product, or that plus parameters: the blocks and the additions."""
    blocks: list[Parameter] = []
    additions: list[Expr | None] = []
    for node in program(equations).inputs:
        product, added = (node.args[0], node.args[1]) if node.op == "add" else (node, None)
        if product.op != "matmul" or product.args[1] is not X or (added is not None and _holds_x(added)):
            return None
        block = product.args[0].attr
        assert isinstance(block, Parameter)
        blocks.append(block)
        additions.append(added)
    return tuple(blocks), tuple(additions)


def _holds_x(node: Expr) -> bool:
    return any(part is X for part in topological([node]))


def _input_products(made: Program, call: Call, way: Order, blocks: BlocksOf, values: dict[Expr, Tensor]) -> Tensor:
    """The values computed from x alone, (N, X·H), side by side."""
    x = input_rows(call, way)
    hidden = call.hidden_size
    simple = _simple_inputs(call.cell.equations)
    target = memory.empty((way.places, len(made.inputs) * hidden), x.dtype)
    if simple is None:
        values[X] = x
        parts = [evaluate(node, values, blocks) for node in made.inputs]
        return torch.cat(parts, dim=1, out=target)
    weights = stacked(call, simple[0], blocks)
    bias = None
    if any(added is not None for added in simple[1]):
        zeros = x.new_zeros(hidden)
        bias = torch.cat([zeros if added is None else evaluate(added, values, blocks) for added in simple[1]])
    return multiply(x, weights.t(), out=target, bias=bias)


def stacked(call: Call, wanted: tuple[Parameter, ...], blocks: BlocksOf) -> Tensor:
    """Blocks of (H, I) on top of each other; the group's own tensor when it has just these."""
    group = wanted[0].group
    if wanted == tuple(Parameter(group, gate) for gate in call.cell.gates_of(group)):
        whole = call.parameters[call.cell.groups.index(group)]
        return whole if whole.stride(-1) == 1 else whole.contiguous()
    return torch.cat([blocks[block] for block in wanted])
