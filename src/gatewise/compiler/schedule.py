"""Scheduling: dependencies of a graph, and the stages in which a step computes it.

A product and a sum over units need all units of their operand, elementwise work only its own unit. So a step is divided
into stages: each begins with the products whose operands were completed by earlier stages, and a sum is complete at the
end of the stage that computes its operand.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gatewise.compiler.simplify import build, number
from gatewise.equations.expression import COMPARISONS, Expr, topological

PRODUCTS = ("matmul", "matmul_transposed")


@dataclass(frozen=True)
class Stage:
    """Products that can run together, then elementwise work that depends on no later stage.

    Attributes:
        products: product nodes, whose operands are complete before the stage begins.
        work: elementwise nodes, operands first.
    """

    products: tuple[Expr, ...]
    work: tuple[Expr, ...]

    @property
    def operands(self) -> dict[Expr, list[Expr]]:
        """The products by operand: blocks with the same operand form one larger product."""
        by_operand: dict[Expr, list[Expr]] = {}
        for product in self.products:
            by_operand.setdefault(product.args[1], []).append(product)
        return by_operand


def stages(roots: Iterable[Expr], available: AbstractSet[Expr]) -> tuple[Stage, ...]:
    """The stages that compute the roots from the available nodes.

    Returns:
        The first stage holds the elementwise work that needs no product and no sum (it may have none), every later one
        follows products or sums.
    """
    level: dict[Expr, int] = {}
    products: dict[int, list[Expr]] = {0: []}
    work: dict[int, list[Expr]] = {0: []}
    for node in needed(roots, available):
        if node in available or not node.args:
            level[node] = 0
            continue
        if node.op in PRODUCTS:
            level[node] = level[node.args[1]] + 1
            products.setdefault(level[node], []).append(node)
            continue
        level[node] = max(level[arg] for arg in node.args)
        if node.op == "sum":  # level: the first stage that may read it
            work.setdefault(level[node], []).append(node)
            level[node] += 1
        elif node.op not in COMPARISONS:
            work.setdefault(level[node], []).append(node)
    last = max(level.values(), default=0)
    return tuple(Stage(tuple(products.get(index, ())), tuple(work.get(index, ()))) for index in range(last + 1))


def needed(roots: Iterable[Expr], available: AbstractSet[Expr]) -> list[Expr]:
    """The nodes from the available ones (included) to the roots, operands before users.

    The matrix of a product is not a value of the step and not included.
    """

    def operands(node: Expr) -> tuple[Expr, ...]:
        if node in available:
            return ()
        return node.args[1:] if node.op in PRODUCTS else node.args

    return topological(roots, operands)


def loop_invariants(roots: Iterable[Expr]) -> set[Expr]:
    """The nodes whose value is the same at every step: parameters, constants, and expressions of them."""
    constant_in_time: set[Expr] = set()
    for node in topological(roots):
        leaf = node.op in ("parameter", "constant")
        if leaf or (node.args and node.op != "sum" and all(arg in constant_in_time for arg in node.args)):
            constant_in_time.add(node)
    return constant_in_time


def input_projection_nodes(roots: Iterable[Expr], loop_invariant: AbstractSet[Expr]) -> set[Expr]:
    """The nodes that are products with x, or the sum of such a product and a loop-invariant vector."""
    found: set[Expr] = set()
    for node in topological(roots):
        if _is_input_product(node):
            found.add(node)
        elif node.op == "add":
            product, vector = node.args if _is_input_product(node.args[0]) else reversed(node.args)
            if _is_input_product(product) and vector in loop_invariant and number(vector) is None:
                found.add(node)
    return found


def _is_input_product(node: Expr) -> bool:
    return node.op == "matmul" and node.args[1].op == "input"


def frontier(roots: Iterable[Expr], inside: AbstractSet[Expr]) -> list[Expr]:
    """The members of ``inside`` that are roots or are read by a node outside of it.

    Matrices are excluded; reading a comparison means reading the two compared values.
    """
    roots = tuple(roots)
    read = dict.fromkeys(root for root in roots if root in inside)
    for node in topological(roots):
        if node not in inside:
            read.update(dict.fromkeys(operand for operand in _values(node) if operand in inside))
    return list(read)


def _values(node: Expr) -> Iterator[Expr]:
    for operand in node.args[1:] if node.op in PRODUCTS else node.args:
        if operand.op in COMPARISONS:
            yield from operand.args
        else:
            yield operand


def gather(roots: Iterable[Expr]) -> tuple[Expr, ...]:
    """The roots with the terms of sums with products sorted: input, parameters, then the products by stage.

    For example, ``W.i @ x + b.i + R.i @ h + d.i`` becomes ``(W.i @ x + (b.i + d.i)) + R.i @ h``: the first half can be
    computed for all steps at once. Equal up to rounding.
    """
    roots = tuple(roots)
    order = topological(roots)
    loop_invariant = loop_invariants(roots)
    uses: dict[Expr, list[str]] = {root: ["return"] for root in roots}
    for node in order:
        for arg in node.args:
            uses.setdefault(arg, []).append(node.op)
    depth: dict[Expr, int] = {}
    for node in order:
        own = node.op == "matmul" and node not in loop_invariant and node.args[1].op != "input"
        depth[node] = own + max((depth[arg] for arg in node.args), default=0)

    def inner(node: Expr) -> bool:
        return node.op in ("add", "sub") and uses[node] in (["add"], ["sub"])

    def terms(node: Expr, sign: int) -> list[tuple[int, Expr]]:
        first, second = node.args
        flipped = sign if node.op == "add" else -sign
        left = terms(first, sign) if inner(first) else [(sign, first)]
        return left + (terms(second, flipped) if inner(second) else [(flipped, second)])

    def rank(term: Expr) -> int:
        if term.op == "matmul" and term.args[1].op == "input":
            return -1
        return depth[term]

    known: dict[Expr, Expr] = {}
    for node in order:
        if node.op in ("add", "sub") and not inner(node):
            summands = terms(node, 1)
            several = sum(term in loop_invariant for _, term in summands) > 1
            if several or any(term.op == "matmul" for _, term in summands):
                known[node] = _sum(sorted(summands, key=lambda summand: rank(summand[1])), known, loop_invariant)
                continue
        args = [known[arg] for arg in node.args]
        known[node] = Expr.make(node.op, *args) if args else node
    return tuple(known[root] for root in roots)


def _sum(summands: list[tuple[int, Expr]], known: dict[Expr, Expr], loop_invariant: set[Expr]) -> Expr:
    """The signed sum in this order, with the loop-invariant terms summed first."""
    alone = [(sign, known[term]) for sign, term in summands if term in loop_invariant]
    others = [(sign, known[term]) for sign, term in summands if term not in loop_invariant]
    ranked = sum(term.op == "matmul" and term.args[1].op == "input" for _, term in others)
    if alone:
        others.insert(ranked, (1, _signed(alone)))
    return _signed(others)


def _signed(summands: list[tuple[int, Expr]]) -> Expr:
    sign, total = summands[0]
    total = total if sign > 0 else build("neg", total, exact=True)
    for sign, term in summands[1:]:
        total = build("add" if sign > 0 else "sub", total, term, exact=True)
    return total
