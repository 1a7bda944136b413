"""Which part of a graph depends on what, and the order in which a step can compute it.

A product needs all units of its operand, elementwise work only its own unit. So a step is cut into stages: each
begins with the products whose operands the stages before it completed.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gatewise.compiler.simplify import build, number
from gatewise.equations.expression import COMPARISONS, Expr, topological

PRODUCTS = ("matmul", "matmul_transposed")


@dataclass(frozen=True)
class Stage:
    """Products that can run together, then elementwise work that needs nothing later.

    Attributes:
        products: product nodes; each operand is complete before the stage begins.
        work: elementwise nodes, operands first.
    """

    products: tuple[Expr, ...]
    work: tuple[Expr, ...]

    @property
    def operands(self) -> dict[Expr, list[Expr]]:
        """The products by their operand: the blocks of one operand make one larger product."""
        by_operand: dict[Expr, list[Expr]] = {}
        for product in self.products:
            by_operand.setdefault(product.args[1], []).append(product)
        return by_operand


def stages(roots: Iterable[Expr], available: AbstractSet[Expr]) -> tuple[Stage, ...]:
    """The stages that compute the roots, without what is available before the step.

    Returns:
        The first stage holds the elementwise work that needs no product (it may have none), every later one has
        products.
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
        if node.op not in COMPARISONS:
            work.setdefault(level[node], []).append(node)
    last = max((*products, *work))
    return tuple(Stage(tuple(products.get(at, ())), tuple(work.get(at, ()))) for at in range(last + 1))


def needed(roots: Iterable[Expr], available: AbstractSet[Expr]) -> list[Expr]:
    """The nodes that lead from what is available (itself included) to the roots, operands before users.

    The matrix of a product is no value of the step and is not among them.
    """

    def operands(node: Expr) -> tuple[Expr, ...]:
        if node in available:
            return ()
        return node.args[1:] if node.op in PRODUCTS else node.args

    return topological(roots, operands)


def parameters_alone(roots: Iterable[Expr]) -> set[Expr]:
    """The nodes whose value is the same at every step: parameters, constants, and what is made of them."""
    constant_in_time: set[Expr] = set()
    for node in topological(roots):
        leaf = node.op in ("parameter", "constant")
        if leaf or (node.args and all(arg in constant_in_time for arg in node.args)):
            constant_in_time.add(node)
    return constant_in_time


def input_alone(roots: Iterable[Expr], steady: AbstractSet[Expr]) -> set[Expr]:
    """The nodes that are products with x, or the sum of one such product and one vector of parameters alone."""
    found: set[Expr] = set()
    for node in topological(roots):
        if _is_input_product(node):
            found.add(node)
        elif node.op == "add":
            product, vector = node.args if _is_input_product(node.args[0]) else reversed(node.args)
            if _is_input_product(product) and vector in steady and number(vector) is None:
                found.add(node)
    return found


def _is_input_product(node: Expr) -> bool:
    return node.op == "matmul" and node.args[1].op == "input"


def frontier(roots: Iterable[Expr], inside: AbstractSet[Expr]) -> list[Expr]:
    """The members of ``inside`` that are roots or that a node outside of it reads.

    Matrices do not count, and a comparison that is read stands for the two values that it compares.
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
    """The roots with the sums that hold products put in order: input, parameters, then the products by stage.

    So ``W.i @ x + b.i + R.i @ h + d.i`` becomes ``(W.i @ x + (b.i + d.i)) + R.i @ h``: the first half can be
    computed for all steps at once. Equal up to rounding.
    """
    roots = tuple(roots)
    order = topological(roots)
    steady = parameters_alone(roots)
    uses: dict[Expr, list[str]] = {root: ["return"] for root in roots}
    for node in order:
        for arg in node.args:
            uses.setdefault(arg, []).append(node.op)
    depth: dict[Expr, int] = {}
    for node in order:
        own = node.op == "matmul" and node not in steady and node.args[1].op != "input"
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
            if any(term.op == "matmul" for _, term in summands):
                known[node] = _sum(sorted(summands, key=lambda summand: rank(summand[1])), known, steady)
                continue
        args = [known[arg] for arg in node.args]
        known[node] = Expr.make(node.op, *args) if args else node
    return tuple(known[root] for root in roots)


def _sum(summands: list[tuple[int, Expr]], known: dict[Expr, Expr], steady: set[Expr]) -> Expr:
    """The signed sum in this order, the parameters' part first summed by itself."""
    alone = [(sign, known[term]) for sign, term in summands if term in steady]
    others = [(sign, known[term]) for sign, term in summands if term not in steady]
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
