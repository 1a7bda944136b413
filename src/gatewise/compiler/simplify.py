"""Smaller graphs for the same values: constants folded, algebraic identities applied.

Two sets of rules. *Exact* rules give the same IEEE result for every operand (NaN, infinities and the sign of zero
included) and are the only ones applied to what a cell computes. *Algebraic* rules hold for real numbers, but may turn
−0 into 0 or NaN into 0 (0·∞) or round once less; they apply to gradients and dropped terms.
"""

import math
from collections.abc import Collection, Iterable

from gatewise.equations.expression import Expr, Width, constant, topological
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.reductions import is_sum_of_deviations


def simplify(roots: Iterable[Expr], *, exact: bool = True, atoms: Collection[Expr] = ()) -> tuple[Expr, ...]:
    """The roots, rewritten bottom-up.

    Users of a root keep using it: −(−u) is not u where −u is a root, so that its gradient includes all its uses.

    Args:
        roots: expressions.
        exact: False also applies the rules that hold for real numbers only.
        atoms: nodes that are not rewritten.

    Returns:
        As many expressions, in the same order; unchanged parts are the same nodes.

    >>> from gatewise.equations import cell
    >>> from gatewise.equations.expression import Expr
    >>> h = Expr.make("state", attr="h")
    >>> simplify([-(-h) * 1])[0] is h
    True
    """
    roots = tuple(roots)
    returned = set(roots)
    behind: dict[Expr, Expr] = {}
    known: dict[Expr, Expr] = {atom: atom for atom in atoms}
    for node in topological(roots, lambda node: () if node in known else node.args):
        if node in known:
            continue
        args = [known[arg] for arg in node.args]
        known[node] = build(node.op, *args, exact=exact) if args else node
        if node in returned and known[node].op == "neg":  # the only operation that rules match inside others
            leaf = Expr.make("returned", attr=str(len(behind)))
            behind[leaf], known[node] = known[node], leaf
    return _replace((known[root] for root in roots), behind)


def _replace(roots: Iterable[Expr], leaves: dict[Expr, Expr]) -> tuple[Expr, ...]:
    """The roots with some leaves replaced; each replacement may contain earlier leaves."""
    if not leaves:
        return tuple(roots)
    known: dict[Expr, Expr] = {}

    def replaced(root: Expr) -> Expr:
        for node in topological([root]):
            if node not in known:
                known[node] = Expr.make(node.op, *(known[arg] for arg in node.args)) if node.args else node
        return known[root]

    for leaf, value in leaves.items():
        known[leaf] = replaced(value)
    return tuple(replaced(root) for root in roots)


def build(op: str, *args: Expr, exact: bool = False) -> Expr:
    """The node of an operation, or a simpler node with the same value."""
    folded = _fold(op, args, exact)
    if folded is not None:
        return folded
    same = _exact(op, args)
    if same is None and not exact:
        same = _algebraic(op, args)
    return Expr.make(op, *args) if same is None else same


def number(node: Expr) -> float | None:
    """The value of a constant; None for any other node."""
    return node.attr if node.op == "constant" and isinstance(node.attr, float) else None


def is_number(node: Expr, value: float) -> bool:
    """Whether the node is this constant; the sign of zero counts."""
    found = number(node)
    return found is not None and found == value and math.copysign(1, found) == math.copysign(1, value)


def _fold(op: str, args: tuple[Expr, ...], exact: bool) -> Expr | None:
    """An operation on constants, in double precision; None when there is no finite result."""
    if op == "where":
        condition, first, second = args
        left, right = (number(side) for side in condition.args)
        if left is None or right is None:
            return None
        holds = OPERATIONS[condition.op].fold
        return None if holds is None else first if holds(left, right) else second
    operation = OPERATIONS.get(op)
    values = [value for arg in args if (value := number(arg)) is not None]
    if operation is None or operation.fold is None or operation.comparison or len(values) < len(args):
        return None
    if exact and not operation.rounded:
        return None
    try:
        result = operation.fold(*values)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return constant(result) if math.isfinite(result) else None


def _exact(op: str, args: tuple[Expr, ...]) -> Expr | None:
    first = args[0]
    last = args[-1]
    match op:
        case "neg" if first.op == "neg":
            return first.args[0]
        case "add" if is_number(last, -0.0):
            return first
        case "add" if last.op == "neg":
            return build("sub", first, last.args[0], exact=True)
        case "add" if first.op == "neg":
            return build("sub", last, first.args[0], exact=True)
        case "sub" if is_number(last, 0.0):
            return first
        case "sub" if last.op == "neg":
            return build("add", first, last.args[0], exact=True)
        case "mul" | "div" if is_number(last, 1.0):
            return first
        case "mul" if is_number(first, 1.0):
            return last
        case "mul" | "div" if is_number(last, -1.0):
            return build("neg", first, exact=True)
        case "mul" if is_number(first, -1.0):
            return build("neg", last, exact=True)
        case "abs" if first.op in ("abs", "neg"):
            return build("abs", first.args[0], exact=True)
        case "relu" if first.op == "relu":
            return first
        case "minimum" | "maximum" if first is last:
            return first
        case "where" if args[1] is last:
            return last
        case _:
            return None


def _algebraic(op: str, args: tuple[Expr, ...]) -> Expr | None:
    first = args[0]
    last = args[-1]
    zero = [number(arg) == 0 for arg in args]
    match op:
        case "add" if zero[0]:
            return last
        case "add" | "sub" if zero[1]:
            return first
        case "sub" if zero[0]:
            return build("neg", last)
        case "sub" if first is last:
            return constant(0)
        case "mul" if zero[0] or zero[1]:
            return constant(0)
        case "div" if zero[0] and not zero[1]:
            return first
        case "matmul" | "matmul_transposed" if zero[1]:
            return constant(0)
        case "sum" if zero[0]:
            return first
        case "sum" if first.width is not Width.UNITS:
            return build("mul", first, Expr.make("units"))
        case "sum" if first.op == "neg":
            return build("neg", build("sum", first.args[0]))
        case "sum" if is_sum_of_deviations(first):
            return constant(0)
        case "neg" if first.op == "sub":
            return build("sub", first.args[1], first.args[0])
        # Signs move outwards and constants into `where`, so that equal terms meet.
        case "mul" | "div" if first.op == "neg":
            return build("neg", build(op, first.args[0], last))
        case "mul" | "div" if last.op == "neg":
            return build("neg", build(op, first, last.args[0]))
        case "mul" if first.op == "where" and number(last) is not None:
            condition, yes, no = first.args
            return build("where", condition, build("mul", yes, last), build("mul", no, last))
        case "add" if first.op == last.op == "where" and first.args[0] is last.args[0]:
            condition, yes, no = first.args
            return build("where", condition, build("add", yes, last.args[1]), build("add", no, last.args[2]))
        case _:
            return None
