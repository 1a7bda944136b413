"""Reverse mode on the graph: from the gradients of the values a step returns to those of everything it uses.

The derivative is again a graph, of the cell's nodes and two additional kinds that no cell contains:

- ``gradient`` (a leaf): the upstream gradient of a returned value, named by its state;
- ``matmul_transposed``: a parameter block, transposed, times a gradient.

For printing, a norm over units can be one node (`gatewise.equations.norms`); its gradient then is one node as well,
``norm_transposed``.

The rules of elementwise operations are part of their table, `gatewise.equations.operations`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gatewise.compiler.simplify import build, number, simplify
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, Width, constant, topological
from gatewise.equations.operations import OPERATIONS


@dataclass(frozen=True)
class Gradient:
    """The gradients of one step, as expressions of the step's nodes and the upstream gradients.

    Values that do not influence the returned values have no entry.

    Attributes:
        adjoints: for every node of the step, the gradient of its value.
        states: for every state, the gradient of its value at t−1.
        input: the gradient of x_t, of width I; None when x has no influence.
        vectors: for every vector block, one step's contribution to its gradient, to be summed over steps and batch.
        matrices: for every matrix block, pairs (δ, operand): the gradient is the sum of δ ⊗ operand over steps, batch
            and pairs.
    """

    adjoints: dict[Expr, Expr]
    states: dict[str, Expr]
    input: Expr | None
    vectors: dict[Parameter, Expr]
    matrices: dict[Parameter, list[tuple[Expr, Expr]]]


def differentiate(cell: Cell) -> Gradient:
    """The gradients of one step of a cell, given those of its returned values.

    >>> from gatewise.cells import lookup
    >>> sorted(differentiate(lookup("lstm")).states)
    ['c', 'h']
    """
    seeds = [(output, upstream_leaf(state)) for state, output in zip(cell.states, cell.outputs, strict=True)]
    return collect(backpropagate(seeds, gate_order(cell.gates, cell.outputs)))


def gate_order(gates: Sequence[str], outputs: Sequence[Expr]) -> list[Expr]:
    """The nodes of a step, operands first, those of the first gate before those of the second, and so on.

    In this order the terms of a summed gradient follow the gates.
    """
    by_gate: dict[str | None, list[Expr]] = {}
    for node in topological(outputs):
        if node.op == "matmul" and isinstance(block := node.args[0].attr, Parameter):
            by_gate.setdefault(block.gate, []).append(node)
    first = [node for gate in (None, *gates) for node in by_gate.get(gate, [])]
    return topological([*first, *outputs])


def upstream_leaf(name: str) -> Expr:
    """The leaf of an upstream gradient, named by its state."""
    return Expr.make("gradient", attr=name)


def backpropagate(
    seeds: Iterable[tuple[Expr, Expr]], order: Sequence[Expr], leaves: Iterable[Expr] = ()
) -> dict[Expr, Expr]:
    """The gradient of every node on which a seeded node depends.

    Args:
        seeds: pairs of a node and an upstream gradient; a node may have several.
        order: the nodes to differentiate, operands before their users. Other nodes are treated as constants; the terms
            of a sum follow the order of the users.
        leaves: nodes at which back-propagation stops.

    Returns:
        The gradients of the nodes of ``order`` that have one. Products propagate theirs to the operand; the gradient
        of the matrix is the outer product of both.
    """
    seeded: dict[Expr, list[Expr]] = {}
    # Terms of the gradient of a node with one value for each row that have one for each unit: summed over units.
    repeated: dict[Expr, list[Expr]] = {}
    for node, gradient in seeds:
        (repeated if node.width is Width.ROW else seeded).setdefault(node, []).append(gradient)
    inside = set(order)
    last = set(leaves)
    # Factors that are not expanded: values of the step, and gradients that several rules read.
    atoms = inside.union(*(node.args for node in order))
    terms: dict[Expr, list[Expr]] = {}
    adjoints: dict[Expr, Expr] = {}
    for node in reversed(order):
        summands = seeded.get(node, []) + terms.pop(node, [])[::-1]
        if node in repeated:
            summands.append(over_units(_total(repeated.pop(node)[::-1], atoms)))
        if not summands:
            continue
        adjoint = _total(summands, atoms)
        if number(adjoint) == 0:
            continue
        adjoints[node] = adjoint
        passed_on = node.op in ("add", "sub", "neg") and sum(number(arg) is None for arg in node.args) == 1
        if not passed_on:
            atoms.add(adjoint)
        for operand, term in () if node in last else _operand_gradients(node, adjoint):
            if operand in inside and operand.op not in ("constant", "mask") and number(term) != 0:
                summed = operand.width is Width.ROW and node.width is Width.UNITS
                (repeated if summed else terms).setdefault(operand, []).append(term)
    return adjoints


def collect(adjoints: dict[Expr, Expr]) -> Gradient:
    """Collect the gradients of a step's leaves from those of all its nodes."""
    states: dict[str, Expr] = {}
    vectors: dict[Parameter, Expr] = {}
    matrices: dict[Parameter, list[tuple[Expr, Expr]]] = {}
    x = None
    for node, adjoint in adjoints.items():
        if node.op == "state":
            states[str(node.attr)] = adjoint
        elif node.op == "input":
            x = adjoint
        elif isinstance(node.attr, Parameter):
            vectors[node.attr] = adjoint
        elif node.op == "matmul":
            block = node.args[0].attr
            assert isinstance(block, Parameter)
            matrices.setdefault(block, []).append((adjoint, node.args[1]))
    return Gradient(adjoints, states, x, vectors, matrices)


def _operand_gradients(node: Expr, gradient: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Pairs of an operand and its term of the gradient."""
    if node.op == "matmul":
        matrix, operand = node.args
        yield operand, build("matmul_transposed", matrix, gradient)
    elif node.op == "sum":
        yield node.args[0], gradient
    elif node.op == "norm":
        yield node.args[0], build("norm_transposed", node, gradient)
    elif node.op in OPERATIONS and (rule := OPERATIONS[node.op].derivative) is not None:
        shares = [
            (arg, share)
            for arg, share in zip(node.args, rule(gradient, node, *node.args), strict=True)
            if share is not None
        ]
        atoms = {gradient, node, *node.args}
        simple = simplify((share for _, share in shares), exact=False, atoms=atoms)
        yield from zip((arg for arg, _ in shares), simple, strict=True)


def over_units(gradient: Expr) -> Expr:
    """The sum of a gradient over units, with what all units of a row share outside: r·Σa + s·Σb for Σ(r·a + s·b).

    So few sums have to wait for others.
    """
    parts: dict[Expr, tuple[int, Expr]] = {}
    for sign, term in _summands(gradient, 1):
        outside, inside = _split(term)
        first_sign, total = parts.get(outside, (sign, None))
        same = build("add" if sign == first_sign else "sub", total, inside) if total is not None else inside
        parts[outside] = first_sign, same
    result = constant(0)
    for outside, (sign, inside) in parts.items():
        result = build("add" if sign > 0 else "sub", result, build("mul", outside, build("sum", inside)))
    return result


def _summands(node: Expr, sign: int) -> Iterator[tuple[int, Expr]]:
    """The terms of a sum, each with its sign; a sum without factors that are the same for all units is one term."""
    if node.op == "neg":
        yield from _summands(node.args[0], -sign)
    elif node.op in ("add", "sub") and _has_row_factor(node):
        yield from _summands(node.args[0], sign)
        yield from _summands(node.args[1], sign if node.op == "add" else -sign)
    else:
        yield sign, node


def _has_row_factor(node: Expr) -> bool:
    if node.op in ("add", "sub", "neg"):
        return any(map(_has_row_factor, node.args))
    return node.width is Width.UNITS and number(_split(node)[0]) is None


def _split(node: Expr) -> tuple[Expr, Expr]:
    """A term as a factor that is the same for all units of a row, and the rest."""
    if node.width is not Width.UNITS:
        return node, constant(1)
    if node.op == "mul":
        pairs = [_split(arg) for arg in node.args]
        return build("mul", pairs[0][0], pairs[1][0]), build("mul", pairs[0][1], pairs[1][1])
    if node.op == "div" and node.args[1].width is not Width.UNITS:
        outside, inside = _split(node.args[0])
        return build("div", outside, node.args[1]), inside
    if node.op == "neg":
        outside, inside = _split(node.args[0])
        return build("neg", outside), inside
    return constant(1), node


def _total(summands: list[Expr], atoms: set[Expr]) -> Expr:
    """The sum with common factors extracted: δ ⊙ n − δ ⊙ h becomes δ ⊙ (n − h)."""
    total: list[Expr] = []
    for summand in summands:
        for index, other in enumerate(total):
            merged = _merge(other, summand, atoms)
            if merged is not None:
                total[index] = merged
                break
        else:
            total.append(summand)
    result = total[0]
    for summand in total[1:]:
        result = build("add", result, summand)
    return result


def _merge(first: Expr, second: Expr, atoms: set[Expr]) -> Expr | None:
    """The sum of two products as one product; None if they have no common factor."""
    if first.op == second.op == "where" and first.args[0] is second.args[0]:
        return build("add", first, second)
    sign_first, factors_first = _factors(first, atoms)
    sign_second, factors_second = _factors(second, atoms)
    common = Counter(factors_first) & Counter(factors_second)
    if not common:
        return None
    rest = [_product(_remaining(factors, common)) for factors in (factors_first, factors_second)]
    if sign_first == sign_second:
        inner = build("add", *rest)
    else:
        inner = build("sub", *rest) if sign_first > 0 else build("sub", rest[1], rest[0])
    outer = build("mul", _product(list(common.elements())), inner)
    return build("neg", outer) if sign_first < 0 and sign_second < 0 else outer


def _factors(node: Expr, atoms: set[Expr]) -> tuple[int, list[Expr]]:
    if node not in atoms:
        if node.op == "neg":
            sign, factors = _factors(node.args[0], atoms)
            return -sign, factors
        if node.op == "mul":
            (sign_a, a), (sign_b, b) = (_factors(arg, atoms) for arg in node.args)
            return sign_a * sign_b, a + b
    return 1, [node]


def _remaining(factors: list[Expr], common: Counter[Expr]) -> list[Expr]:
    remaining = common.copy()
    rest: list[Expr] = []
    for factor in factors:
        if remaining[factor] > 0:
            remaining[factor] -= 1
        else:
            rest.append(factor)
    return rest


def _product(factors: list[Expr]) -> Expr:
    result = constant(1)
    for factor in factors:
        result = build("mul", result, factor)
    return result
