"""From what the loop back through time has made to gradients: products of all steps at once, and sums.

A gradient of a matrix is a sum of outer products over all steps, a product of two matrices; that of a vector the loop
has summed up itself.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from torch import Tensor

from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory, placement
from gatewise.kernels.cpu.forward import Saved
from gatewise.kernels.cpu.inputs import input_rows, stacked
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.products import multiply
from gatewise.kernels.cpu.program import BlocksOf, evaluate, program
from gatewise.kernels.cpu.shown import Shown
from gatewise.kernels.cpu.sums import Sum, add_up
from gatewise.kernels.cpu.taping import current


class _Run(NamedTuple):
    """Gradients side by side whose outer products with one operand fill blocks on top of each other.

    Attributes:
        adds: whether earlier runs filled the blocks, all of them, and this one adds to them.
    """

    operand: Expr
    first_slot: int
    blocks: tuple[Parameter, ...]
    adds: bool


class Loop(NamedTuple):
    """What the loop of one direction has made."""

    delta: Tensor  # (N, slots·H)
    operands: dict[Expr, Tensor]  # (N, H) each, but for states whose sequence serves as it is
    sums: Tensor  # (slices, sums, H)
    shown: Shown | None


def state_sequence(output: Tensor, at: int, kept: Saved, index: int, hidden: int) -> Tensor:
    """The values of a state: by place, (N, H), but those of the first as the caller has them, (T·B, H)."""
    if index > 0:
        return kept.states[index - 1]
    return output.view(-1, output.shape[-1])[:, at * hidden : (at + 1) * hidden]


@cache
def _runs(equations: str) -> tuple[_Run, ...]:
    """The outer products of the parameter gradients, as few and as large as the layouts allow."""
    made = program(equations)
    cell = made.plan.cell
    runs: list[_Run] = []
    filled: set[Parameter] = set()
    for outer in sorted(
        made.plan.backward.outers,
        key=lambda outer: (
            cell.groups.index(outer.block.group),
            cell.gates_of(outer.block.group).index(outer.block.gate),
        ),
    ):
        slot = made.backward.slots[outer.delta].block
        adds = outer.block in filled
        filled.add(outer.block)
        if runs:
            last = runs[-1]
            gates = cell.gates_of(outer.block.group)
            follows = (
                last.blocks[-1].group == outer.block.group
                and gates.index(last.blocks[-1].gate) + 1 == gates.index(outer.block.gate)
                and last.operand is outer.operand
                and last.first_slot + len(last.blocks) == slot
                and last.adds == adds
            )
            if follows:
                runs[-1] = last._replace(blocks=(*last.blocks, outer.block))
                continue
        runs.append(_Run(outer.operand, slot, (outer.block,), adds))
    return tuple(runs)


def parameter_gradients(
    call: Call,
    output: Tensor,
    at: int,
    way: Order,
    kept: Saved,
    loop: Loop,
    wanted: Sequence[bool],
    totals: Sequence[Tensor | None] | None,
) -> list[Tensor | None]:
    """One per group, or None where it is not wanted: new ones, or what was added to the totals."""
    hidden = call.hidden_size
    cell = call.cell
    results = totals or [
        memory.empty(tuple(tensor.shape), tensor.dtype) if is_wanted else None
        for tensor, is_wanted in zip(call.parameters, wanted, strict=True)
    ]
    gradients = dict(zip(cell.groups, results, strict=True))
    for run in _runs(cell.equations):
        gradient = gradients[run.blocks[0].group]
        if gradient is None:
            continue
        delta = loop.delta[:, run.first_slot * hidden : (run.first_slot + len(run.blocks)) * hidden]
        first = cell.gates_of(run.blocks[0].group).index(run.blocks[0].gate)
        out = gradient[first * hidden : (first + len(run.blocks)) * hidden]
        add = totals is not None or run.adds
        for delta_rows, operand_rows in _pairs(call, output, at, way, kept, loop, run.operand, delta):
            multiply(delta_rows.t(), operand_rows, out=out, add=add)
            add = True
    sums = loop.sums
    _summed_gradients(call, sums, results, add=totals is not None)
    if _rest(cell.equations).computed:
        _computed_gradients(call, sums, results, add=totals is not None)
        if (writing := current()) is not None:
            writing.afterwards(call.directions, lambda call, results: _computed_gradients(call, sums, results))
    return list(results)


def _pairs(
    call: Call, output: Tensor, at: int, way: Order, kept: Saved, loop: Loop, operand: Expr, delta: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Gradients and the operand's values, row by row of the same place."""
    if operand.op == "input":
        return [(delta, input_rows(call, way))]
    if operand in loop.operands:
        return [(delta, loop.operands[operand])]
    # A state without cuts: its own sequence, one step apart, after its initial value.
    index = call.cell.states.index(str(operand.attr))
    hidden = call.hidden_size
    sequence = state_sequence(output, at, kept, index, hidden)
    initial = call.initial[index][0]
    initial = initial if initial.stride(-1) == 1 else initial.contiguous()
    batch = way.rows
    if way.reverse:
        pairs = [(delta[:-batch], sequence[batch:]), (delta[-batch:], initial)]
    else:
        pairs = [(delta[batch:], sequence[:-batch]), (delta[:batch], initial)]
    return pairs if call.x.shape[0] > 1 else pairs[1:]


class _Rest(NamedTuple):
    """What products of all steps leave of the gradients of the parameters.

    Attributes:
        gathered: by group whose gradient is sums of the loop and nothing else, their numbers.
        computed: by block what is computed of the sums, for each whether a product has filled it: vectors, and the two
            sides of outer products.
        zero: blocks whose gradient nothing adds to.
    """

    gathered: dict[str, tuple[int, ...]]
    computed: tuple[tuple[Parameter, tuple[Expr, ...], bool], ...]
    zero: tuple[Parameter, ...]


@cache
def _rest(equations: str) -> _Rest:
    made = program(equations)
    cell, gradient = made.plan.cell, made.plan.backward.parameters
    name = {expression: str(at) for at, expression in enumerate(made.plan.hoisted)}
    number = {name[expression]: at for at, expression in enumerate(made.backward.sums)}
    filled = {block for run in _runs(equations) for block in run.blocks}
    gathered: dict[str, tuple[int, ...]] = {}
    for group in cell.groups:
        blocks = [Parameter(group, gate) for gate in cell.gates_of(group)]
        shares = [gradient.vectors.get(block) for block in blocks]
        from_sums = all(share is not None and share.op == "gradient" and share.attr in number for share in shares)
        if from_sums and filled.isdisjoint(blocks) and not any(block in gradient.matrices for block in blocks):
            gathered[group] = tuple([number[str(share.attr)] for share in shares if share is not None])
            filled.update(blocks)
    computed: list[tuple[Parameter, tuple[Expr, ...], bool]] = []
    for block, vector in gradient.vectors.items():
        if block.group not in gathered:
            computed.append((block, (vector,), block in filled))
            filled.add(block)
    for block, pairs in gradient.matrices.items():
        for pair in pairs:
            computed.append((block, pair, block in filled))
            filled.add(block)
    every = [Parameter(group, gate) for group in cell.groups for gate in cell.gates_of(group)]
    return _Rest(gathered, tuple(computed), tuple(block for block in every if block not in filled))


def _summed_gradients(call: Call, sums: Tensor, results: Sequence[Tensor | None], *, add: bool) -> None:
    """Gradients that are sums of the loop, or nothing: written, or added to what there is."""
    hidden, rest = call.hidden_size, _rest(call.cell.equations)
    gradients = dict(zip(call.cell.groups, results, strict=True))
    each, of_slice = sums.element_size() * hidden, sums.element_size() * sums.stride(0)
    begins = range(sums.data_ptr(), sums.data_ptr() + sums.shape[0] * of_slice, of_slice)
    found: list[Sum] = []
    for group, numbers in rest.gathered.items():
        if (gradient := gradients[group]) is None:
            continue
        for at, number in enumerate(numbers):
            to = gradient.data_ptr() + at * each
            parts = [begin + number * each for begin in begins]
            found.append(Sum(to, hidden, [to, *parts] if add else parts))
    for block in () if add else rest.zero:
        if (part := _part(call, gradients, block)) is not None:
            found.append(Sum(part.data_ptr(), part.numel(), ()))
    add_up(sums.dtype, found, (sums, results))


def _computed_gradients(call: Call, sums: Tensor, results: Sequence[Tensor | None], *, add: bool = False) -> None:
    """Gradients that are computed of sums of the loop, likewise."""
    cell, rest = call.cell, _rest(call.cell.equations)
    gradients = dict(zip(cell.groups, results, strict=True))
    totals = sums.sum(dim=0)
    made, blocks = program(cell.equations), BlocksOf(call)
    number = {expression: at for at, expression in enumerate(made.plan.hoisted)}
    values = {
        Expr.make("gradient", attr=str(number[expression])): totals[at]
        for at, expression in enumerate(made.backward.sums)
    }
    for block, sides, is_filled in rest.computed:
        if (part := _part(call, gradients, block)) is not None:
            first, *others = (evaluate(side, values, blocks) for side in sides)
            value = first.view(-1, 1) * others[0] if others else first
            part.copy_(part + value if add or is_filled else value)


def _part(call: Call, gradients: Mapping[str, Tensor | None], block: Parameter) -> Tensor | None:
    """A block of the gradients; None when it is not wanted."""
    gradient, hidden = gradients[block.group], call.hidden_size
    first = call.cell.gates_of(block.group).index(block.gate)
    return None if gradient is None else gradient[first * hidden : (first + 1) * hidden]


def add_input_gradient(call: Call, way: Order, loop: Loop, to: Tensor, *, first: bool) -> None:
    """Add this direction's share of the gradient of x; the first direction fills what nobody has."""
    hidden = call.hidden_size
    rows = to.view(-1, to.shape[-1])
    runs = [run for run in _runs(call.cell.equations) if run.operand.op == "input"]
    if not runs:  # x cancels in the equations
        rows.zero_()
        if (writing := current()) is not None:
            writing.possible = False
        return
    target = rows if way.index is None else memory.empty((way.places, rows.shape[1]), rows.dtype)
    add = way.index is None and not first
    for run in runs:
        delta = loop.delta[:, run.first_slot * hidden : (run.first_slot + len(run.blocks)) * hidden]
        multiply(delta, stacked(call, run.blocks), out=target, add=add)
        add = True
    if way.index is not None:
        assert way.padding is not None
        if first:
            placement.scatter(target, rows, way.index)
            placement.clear(rows, way.padding)
        else:
            rows.index_add_(0, way.index, target)
