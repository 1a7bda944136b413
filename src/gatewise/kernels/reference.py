"""The reference: a plain loop over time that evaluates a cell's graph with torch operations.

It runs any cell in any dtype on any device and can be differentiated any number of times and under `torch.func`; all
other backends are tested against it. Products with x are computed for all steps at once, and blocks of a group with the
same operand are multiplied together.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pkgutil import resolve_name
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.equations import Cell, Expr, Parameter, topological
from gatewise.equations.expression import Width
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import MissingImplementation
from gatewise.kernels import bfloat16
from gatewise.kernels.backend import Saved
from gatewise.kernels.call import Call

HALF = (torch.float16, torch.bfloat16)
_GIVEN = ("input", "state", "mask")


def torch_function(op: str) -> Callable[..., Tensor]:
    """The torch function of an elementwise operation, or of the sum over units."""
    return over_units if op == "sum" else resolve_name(OPERATIONS[op].implementation("torch"))


def number(node: Expr, hidden_size: int, like: Tensor) -> Tensor:
    """The value of a constant, or of the number of units as an operand; half precision does not have every integer."""
    if node.op == "constant":
        return like.new_tensor(node.attr)
    return torch.tensor(float(hidden_size), dtype=torch.float32, device=like.device)


def over_units(value: Tensor) -> Tensor:
    """The sum over units (…, 1), in single precision for half: the squares and quotients of norms leave its range."""
    return value.sum(dim=-1, keepdim=True, dtype=torch.float32 if value.dtype in HALF else None)


def product(
    operand: Tensor, matrix: Tensor, heads: int, linear: Callable[[Tensor, Tensor], Tensor] = functional.linear
) -> Tensor:
    """The product (…, G·H) of an operand (…, columns) with G matrices (G·H, columns), or in n heads (G·H, H/n).

    Args:
        operand: the values of all units.
        matrix: the matrices.
        heads: n; 1 if they are whole.
        linear: multiplies by a whole matrix.
    """
    if heads == 1:
        return linear(operand, matrix)
    blocks = matrix.unflatten(0, (-1, heads, matrix.shape[1])).unbind(1)
    parts = [
        linear(part, block.flatten(0, 1)).unflatten(-1, (len(block), -1))
        for part, block in zip(operand.chunk(heads, dim=-1), blocks, strict=True)
    ]
    return torch.cat(parts, dim=-1).flatten(-2)


def elementwise(function: Callable[..., Tensor], node: Expr, operands: Sequence[Tensor]) -> Tensor:
    """The value of an elementwise node in the precision of what it has for each unit, or of a sum over units."""
    result = function(*operands)
    if node.width is Width.UNITS and result.dtype is torch.float32:
        wide = [one.dtype for arg, one in zip(node.args, operands, strict=True) if arg.width is Width.UNITS]
        half = next((dtype for dtype in wide if dtype in HALF), None)
        return result if half is None else result.to(half)
    return result


def refusal(call: Call) -> str | None:
    """The reason why the reference cannot run a call, or None."""
    if call.precision == "int8":
        return "the reference has no products of 8-bit integers"
    if call.precision is not None and call.x.dtype not in (torch.float32, torch.bfloat16):
        return f"products in {call.precision} are of float32 tensors"
    try:
        _program(call.cell)
    except MissingImplementation as missing:
        return str(missing)
    return None


def limitation(call: Call) -> str | None:
    """See `Backend.limitation`."""
    return None


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """See `Backend.forward`."""
    wide = bfloat16.widened(call) if bfloat16.is_narrow(call) else call
    results = [_one_direction(single) for single in wide.with_states().single_directions()]
    output, *sequences = (torch.cat(parts, dim=-1) for parts in zip(*(each for each, _ in results), strict=True))
    finals = tuple(torch.stack(states) for states in zip(*(finals for _, finals in results), strict=True))
    if wide is not call:
        return *bfloat16.narrowed(call, output, (*finals, *sequences)), ()
    return output, (*finals, *sequences), ()


class _Products(NamedTuple):
    """Blocks of one group with the same operand, computed as one product."""

    group: str
    operand: Expr
    gates: tuple[str | None, ...]
    nodes: tuple[Expr, ...]


class _Program(NamedTuple):
    """A cell's nodes in order of evaluation, grouped by how often they are evaluated."""

    constants: tuple[Expr, ...]
    vectors: tuple[Expr, ...]
    loop_invariants: tuple[Expr, ...]
    input_products: tuple[_Products, ...]
    each_step: tuple[Expr, ...]
    products: dict[Expr, _Products]
    functions: dict[str, Callable[..., Tensor]]
    divided: tuple[str, ...]


@lru_cache(maxsize=256)
def _program(cell: Cell) -> _Program:
    nodes = topological(cell.outputs)
    matrices = {node.args[0] for node in nodes if node.op == "matmul"}
    by_kind: dict[str, list[Expr]] = {"constant": [], "parameter": [], "alone": [], "step": []}
    varying: set[Expr] = set()
    for node in nodes:
        if node in matrices:
            continue
        if node.op in ("constant", "units"):
            by_kind["constant"].append(node)
        elif node.op in by_kind:
            by_kind[node.op].append(node)
        elif node.op in _GIVEN or any(arg in varying for arg in node.args):
            varying.add(node)
            if node.op not in _GIVEN:
                by_kind["step"].append(node)
        else:
            by_kind["alone"].append(node)

    together: dict[tuple[str, Expr], list[Expr]] = {}
    for node in nodes:
        if node.op == "matmul":
            together.setdefault((_block(node.args[0]).group, node.args[1]), []).append(node)
    products: dict[Expr, _Products] = {}
    for (group, operand), members in together.items():
        rank = {gate: index for index, gate in enumerate(cell.gates_of(group))}
        members.sort(key=lambda node: rank[_block(node.args[0]).gate])
        gates = tuple(_block(node.args[0]).gate for node in members)
        shared = _Products(group, operand, gates, tuple(members))
        products.update(dict.fromkeys(members, shared))
    input_products = dict.fromkeys(product for product in products.values() if product.operand.op == "input")
    return _Program(
        tuple(by_kind["constant"]),
        tuple(by_kind["parameter"]),
        tuple(by_kind["alone"]),
        tuple(input_products),
        tuple(by_kind["step"]),
        products,
        {node.op: torch_function(node.op) for node in nodes if node.op == "sum" or node.op in OPERATIONS},
        cell.heads,
    )


def _block(leaf: Expr) -> Parameter:
    assert isinstance(leaf.attr, Parameter)
    return leaf.attr


def _one_direction(call: Call) -> tuple[list[Tensor], list[Tensor]]:
    """The sequences (T, B, H) of the states that the call asks for, the output first, and the final states."""
    cell, steps, hidden, heads = call.cell, call.x.shape[0], call.hidden_size, call.heads
    program = _program(cell)
    blocks: dict[Parameter, Tensor] = {}
    for group, tensor in zip(cell.groups, call.parameters, strict=True):
        gates = cell.gates_of(group)
        rows = tensor.shape[0] // len(gates)
        for index, gate in enumerate(gates):
            blocks[Parameter(group, gate)] = tensor[index * rows : (index + 1) * rows]

    def matrix(products: _Products) -> Tensor:
        if products.gates == cell.gates_of(products.group):
            return call.parameters[cell.groups.index(products.group)]
        return torch.cat([blocks[Parameter(products.group, gate)] for gate in products.gates])

    # Products of parameters alone, and their gradients, are of the parameters as they are.
    weights = {id(products): matrix(products) for products in program.products.values()}
    fixed: dict[Expr, Tensor] = {node: number(node, hidden, call.x) for node in program.constants}
    fixed.update((node, blocks[_block(node)]) for node in program.vectors)
    for node in program.loop_invariants:
        fixed[node] = _evaluate(node, fixed, program, weights, functional.linear, None, heads)
    linear = functional.linear
    if call.precision == "bf16":
        linear, weights = bfloat16.linear, {key: bfloat16.Rounded.apply(one) for key, one in weights.items()}

    valid = None
    x = call.x
    if call.lengths is not None:
        valid = (torch.arange(steps, device=x.device)[:, None] < call.lengths)[..., None]
        # Padding may contain anything, including NaN, which must not reach a weight gradient as 0 · NaN.
        x = torch.where(valid, x, x.new_zeros(()))
    from_input = [
        linear(x, weights[id(products)]).chunk(len(products.nodes), dim=-1) for products in program.input_products
    ]

    drawn = _drawn(call)
    states = [initial[0] for initial in call.initial]
    outputs: list[list[Tensor]] = [[] for _ in (states if call.sequences else states[:1])]
    reverse = call.directions == "reverse"
    zero = x.new_zeros(())
    history = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors)
    for t in reversed(range(steps)) if reverse else range(steps):
        boundary = None if call.reset is None else call.reset[t, :, None]
        if boundary is not None and valid is not None:
            boundary = boundary & valid[t]
        if boundary is not None and not reverse:
            states = [torch.where(boundary, zero, state) for state in states]
        values = dict(fixed)
        values.update((Expr.make("state", attr=name), state) for name, state in zip(cell.states, states, strict=True))
        values.update(drawn(t))
        for products, slices in zip(program.input_products, from_input, strict=True):
            values.update((node, part[t]) for node, part in zip(products.nodes, slices, strict=True))
        for node in program.each_step:
            if node not in values:
                valid_t = None if valid is None else valid[t]
                values[node] = _evaluate(node, values, program, weights, linear, valid_t, heads)
        new = [values[output] for output in cell.outputs]
        pairs = zip(new, states, strict=True)
        new = [value if value.shape == state.shape else value.expand_as(state) for value, state in pairs]
        if call.record is not None:
            new = call.record.observed(t, new, [output.op != "state" for output in cell.outputs], history=history)
        for to, value in zip(outputs, new, strict=False):
            to.append(value if valid is None else torch.where(valid[t], value, zero))
        if valid is None:
            states = new
        else:
            states = [torch.where(valid[t], after, before) for after, before in zip(new, states, strict=True)]
        if boundary is not None and reverse:
            states = [torch.where(boundary, zero, state) for state in states]
    return [torch.stack(values[::-1] if reverse else values) for values in outputs], states


def _drawn(call: Call) -> Callable[[int], dict[Expr, Tensor]]:
    """Returns the masks (B, H) or (B, P) of a direction at a step of the call."""
    given, masks = call.all_masks, call.cell.masks
    rows, widths = call.x.shape[1], call.mask_sizes

    def value(number: int, step: int) -> Tensor:
        return given.values(masks[number], number, step, rows, widths[number], call.x)

    once = {number: value(number, 0) for number, mask in enumerate(masks) if not mask.each_step}
    nodes = [Expr.make("mask", attr=mask) for mask in masks]
    return lambda step: {node: once[k] if k in once else value(k, step) for k, node in enumerate(nodes)}


def _evaluate(
    node: Expr,
    values: dict[Expr, Tensor],
    program: _Program,
    weights: dict[int, Tensor],
    linear: Callable[[Tensor, Tensor], Tensor],
    valid: Tensor | None,
    heads: int,
) -> Tensor:
    if node.op != "matmul":
        operands = [values[arg] for arg in node.args]
        index = None if node.op == "sum" else OPERATIONS[node.op].singular
        if valid is not None and index is not None:
            # The result of a step past the end is dropped, but 0 times an infinite derivative there would be NaN.
            operands[index] = torch.where(valid, operands[index], 1.0)
        return elementwise(program.functions[node.op], node, operands)
    products = program.products[node]
    operand, weight = values[products.operand], weights[id(products)]
    heads = heads if products.group in program.divided else 1
    if operand.dim() == 0:  # made of constants alone
        operand = operand.expand(heads * weight.shape[1])
    result = product(operand, weight, heads, linear)
    parts = result.split(result.shape[-1] // len(products.nodes), dim=-1)
    values.update(zip(products.nodes, parts, strict=True))
    return values[node]
