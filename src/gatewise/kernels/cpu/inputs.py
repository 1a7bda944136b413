"""What a cell computes from x alone: how its products are stacked, and what is added to them."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import Program
from gatewise.equations import Expr, Parameter, topological
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory, placement
from gatewise.kernels.cpu.jobs import Inputs
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.products import multiply
from gatewise.kernels.cpu.program import BlocksOf, evaluate, evaluate_rows, program
from gatewise.kernels.cpu.sums import Sum, add_up
from gatewise.kernels.cpu.taping import current, derived
from gatewise.kernels.cpu.weights import pack

X = Expr.make("input")
# With fewer rows than this, products of all steps at once use the weights better than products step by step.
ROWS_WORTH_STEPS = 4
# Registers that the outputs of one product may be wide.
WIDEST = 8


class Together(NamedTuple):
    """Expressions of parameters for gates that follow each other, and differ in nothing else.

    Attributes:
        expression: None for zeros.
        first: by group that stands in the expression for its blocks, the position of the first gate's block.
        gates: how many.
        terms: the groups that it is the sum of; None when it is something else.
    """

    expression: Expr | None
    first: dict[str, int]
    gates: int
    terms: tuple[str, ...] | None


class Side(NamedTuple):
    """The values from x alone, when each is one product and what is added to it.

    Attributes:
        blocks: of the products.
        added: what is added, or nothing when nothing is.
    """

    blocks: tuple[Parameter, ...]
    added: tuple[Together, ...]


class Weights(NamedTuple):
    """What the values from x alone need of the parameters: either for all steps at once, or step by step."""

    stacked: Tensor | None
    bias: Tensor | None
    within: Inputs | None


@cache
def side(equations: str) -> Side | None:
    """How the values from x alone are computed; None when it is not that simple."""
    made = program(equations)
    blocks: list[Parameter] = []
    added: list[Expr | None] = []
    for node in made.inputs:
        product, term = (node.args[0], node.args[1]) if node.op == "add" else (node, None)
        if product.op != "matmul" or product.args[1] is not X or (term is not None and _holds_x(term)):
            return None
        block = product.args[0].attr
        assert isinstance(block, Parameter)
        blocks.append(block)
        added.append(term)
    return Side(tuple(blocks), _together(made, added) if any(term is not None for term in added) else ())


def weights(
    call: Call, made: Program, blocks: BlocksOf, registers: int, lanes: int, *, step_by_step: bool
) -> Weights | None:
    """What the values from x alone need of the parameters; None when they are not so simple as `Side`.

    Arguments:
        call: one direction.
        made: its program.
        blocks: its parameters.
        registers: registers per output in a strip.
        lanes: numbers in a register.
        step_by_step: whether each step multiplies its own x, if it can.
    """
    simple = side(call.cell.equations)
    if simple is None:
        return None
    added = simple.added
    bias = _bias(call, blocks, added) if added else None
    stages = made.forward.stages
    read = any(product.operand.array == "x" for stage in stages for product in stage.products)
    if not step_by_step or read or any(len(stage.inputs) * registers > WIDEST for stage in stages):
        return Weights(stacked(call, simple.blocks), bias, None)
    hidden, width, group, dtype = call.hidden_size, call.x.shape[-1], registers * lanes, call.x.dtype
    packed: list[Tensor | None] = []
    start: list[Tensor | None] = []
    for stage in stages:
        addresses = [blocks.address(simple.blocks[at]) for at in stage.inputs]
        packed.append(pack(addresses, dtype, hidden, width, group) if addresses else None)
        if bias is None or not addresses:
            start.append(None)
            continue
        each = bias.element_size() * hidden
        of_bias = [bias.data_ptr() + at * each for at in stage.inputs]
        start.append(pack(of_bias, dtype, hidden, 1, group))
    return Weights(None, None, Inputs(width, packed, start))


def products(call: Call, made: Program, way: Order, blocks: BlocksOf, of_x: Weights | None) -> Tensor:
    """The values from x alone for all steps, (N, X·H), side by side."""
    x = input_rows(call, way)
    target = memory.empty((way.places, len(made.inputs) * call.hidden_size), x.dtype)
    if of_x is None:
        values = {X: x}
        if (writing := current()) is not None:
            writing.possible = False
        return torch.cat([evaluate(node, values, blocks) for node in made.inputs], dim=1, out=target)
    assert of_x.stacked is not None
    return multiply(x, of_x.stacked.t(), out=target, bias=of_x.bias)


def input_rows(call: Call, way: Order) -> Tensor:
    """The rows of x in the order of the sequence arrays, (N, I), features dense."""
    if way.index is not None:
        return placement.gather(caller_rows(call), way.index)
    return caller_rows(call)


def caller_rows(call: Call) -> Tensor:
    """The rows of x as the caller has them, (T·B, I), features dense."""
    x = call.x.reshape(-1, call.x.shape[-1])
    return x if x.stride(-1) == 1 else x.contiguous()


def stacked(call: Call, wanted: tuple[Parameter, ...]) -> Tensor:
    """Blocks of (H, I) on top of each other; the group's own tensor when it has just these."""
    return derived(call, lambda call: _stacked(call, wanted))


def _stacked(call: Call, wanted: tuple[Parameter, ...]) -> Tensor:
    group = wanted[0].group
    if wanted == tuple(Parameter(group, gate) for gate in call.cell.gates_of(group)):
        whole = call.parameters[call.cell.groups.index(group)]
        return whole if whole.stride(-1) == 1 else whole.contiguous()
    blocks = BlocksOf(call)
    return torch.cat([blocks[block] for block in wanted])


def _bias(call: Call, blocks: BlocksOf, added: Sequence[Together]) -> Tensor:
    if any(run.terms is None for run in added):
        return derived(call, lambda call: _computed_bias(call, added))
    hidden, dtype = call.hidden_size, call.x.dtype
    bias = memory.empty((sum(run.gates for run in added) * hidden,), dtype)
    sums: list[Sum] = []
    to = bias.data_ptr()
    for run in added:
        length = run.gates * hidden
        parts = [blocks.rows(group, run.first[group], run.gates).data_ptr() for group in run.terms or ()]
        sums.append(Sum(to, length, parts))
        to += length * dtype.itemsize
    add_up(dtype, sums, bias)
    return bias


def _computed_bias(call: Call, added: Sequence[Together]) -> Tensor:
    blocks = BlocksOf(call)
    parts: list[Tensor] = []
    for run in added:
        if run.expression is None:
            parts.append(call.x.new_zeros(run.gates * call.hidden_size))
            continue
        values = {
            Expr.make("parameter", attr=Parameter(group, None)): blocks.rows(group, first, run.gates)
            for group, first in run.first.items()
        }
        parts.append(evaluate_rows(run.expression, values, blocks, run.gates * call.hidden_size))
    return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)


def _together(made: Program, terms: Sequence[Expr | None]) -> tuple[Together, ...]:
    runs: list[Together] = []
    for term in terms:
        expression, first = (None, {}) if term is None else _of_groups(term, made)
        if runs and expression is runs[-1].expression and (first or expression is None):
            last = runs[-1]
            if all(last.first[group] + last.gates == at for group, at in first.items()):
                runs[-1] = last._replace(gates=last.gates + 1)
                continue
        runs.append(Together(expression, first, 1, _terms(expression)))
    return tuple(runs)


def _terms(expression: Expr | None) -> tuple[str, ...] | None:
    if expression is None:
        return ()
    if isinstance(expression.attr, Parameter):
        return (expression.attr.group,) if expression.attr.gate is None else None
    if expression.op != "add":
        return None
    terms = [_terms(one) for one in expression.args]
    return None if None in terms else tuple([group for one in terms if one is not None for group in one])


def _of_groups(term: Expr, made: Program) -> tuple[Expr, dict[str, int]]:
    """An expression with whole groups for their blocks, and the blocks' positions; or as it is, and nothing."""
    first: dict[str, int] = {}
    known: dict[Expr, Expr] = {}
    for node in topological([term]):
        if isinstance(node.attr, Parameter):
            group, gate = node.attr
            if group in first or node.op != "parameter":
                return term, {}
            first[group] = made.plan.cell.gates_of(group).index(gate)
            known[node] = Expr.make("parameter", attr=Parameter(group, None))
        elif node.op == "matmul":
            return term, {}
        else:
            known[node] = Expr.make(node.op, *(known[arg] for arg in node.args), attr=node.attr) if node.args else node
    return known[term], first


def _holds_x(node: Expr) -> bool:
    return any(part is X for part in topological([node]))
