"""Nodes: shared by construction, without value or width of their own."""

import gc
import math
import threading

import pytest

from gatewise.equations import Expr, absolute, maximum, sigmoid, topological, where
from gatewise.equations.expression import constant, parameter

H, C, X = Expr.make("state", attr="h"), Expr.make("state", attr="c"), Expr.make("input")


def test_the_same_expression_is_one_node() -> None:
    assert sigmoid(H * C + 1) is sigmoid(H * C + 1.0)
    assert H * C is not C * H
    assert constant(0.0) is not constant(-0.0)
    assert constant(1) is constant(1.0)


def test_threads_share_nodes() -> None:
    made: list[Expr] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        made.append(sigmoid(H * 0.123 + C))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(node) for node in made}) == 1


def test_unreferenced_nodes_are_collected() -> None:
    from gatewise.equations import expression

    gc.collect()
    before = len(expression._interned)
    kept = sigmoid(H * 0.7654321)
    assert len(expression._interned) > before
    del kept
    gc.collect()
    assert len(expression._interned) == before


@pytest.mark.parametrize(
    ("build", "op", "args"),
    [
        (lambda: H + 1, "add", (H, constant(1))),
        (lambda: 1 + H, "add", (constant(1), H)),
        (lambda: H - C, "sub", (H, C)),
        (lambda: 1 - H, "sub", (constant(1), H)),
        (lambda: H * C, "mul", (H, C)),
        (lambda: 2 * H, "mul", (constant(2), H)),
        (lambda: H / C, "div", (H, C)),
        (lambda: 1 / H, "div", (constant(1), H)),
        (lambda: -H, "neg", (H,)),
        (lambda: abs(H), "abs", (H,)),
        (lambda: absolute(H), "abs", (H,)),
        (lambda: H < C, "lt", (H, C)),
        (lambda: H <= C, "le", (H, C)),
        (lambda: H > 0, "gt", (H, constant(0))),
        (lambda: H >= C, "ge", (H, C)),
        (lambda: H == C, "eq", (H, C)),
        (lambda: H != C, "ne", (H, C)),
        (lambda: maximum(H, 0), "maximum", (H, constant(0))),
        (lambda: parameter("R", "i") @ H, "matmul", (parameter("R", "i"), H)),
    ],
)
def test_operators(build, op: str, args: tuple[Expr, ...]) -> None:
    node = build()
    assert node.op == op
    assert len(node.args) == len(args)
    assert all(actual is wanted for actual, wanted in zip(node.args, args, strict=True))
    assert +H is H


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: bool(H), "use where"),
        (lambda: max(H, C), "maximum"),
        (lambda: list(H), "elementwise over the units"),
        (lambda: H[0], "cannot be indexed"),
        (lambda: math.tanh(H), "functions of gatewise.equations"),
        (lambda: H**2, "write a product"),
        (lambda: H @ C, "left side of @ must be a parameter"),
        (lambda: 2 @ H, "left side of @ must be a parameter"),
        (lambda: parameter("R", None) @ 2, "not a number"),
        (lambda: parameter("R", None) @ (H > 0), "or a comparison"),
        (lambda: X + H, "only be used in a product: W @ x"),
        (lambda: sigmoid(X), "only be used in a product: W @ x"),
        (lambda: (H > 0) * H, "first argument of where"),
        (lambda: where(H, H, C), "must be a comparison"),
        (lambda: H + "1", "got str"),
        (lambda: H * True, "got bool"),
        (lambda: H * math.inf, "finite"),
        (lambda: H + math.nan, "finite"),
    ],
)
def test_invalid_equations_raise(mistake, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        mistake()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [(lambda: H.mean, "no attribute 'mean'"), (lambda: parameter("W", "i").j, r"W.i.j does not exist")],
)
def test_attributes(mistake, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        mistake()


def test_topological_order() -> None:
    root = sigmoid(H * C) + H * C
    order = topological([root, C])
    assert len(order) == len(set(order)) == 5
    position = {node: index for index, node in enumerate(order)}
    assert all(position[arg] < position[node] for node in order for arg in node.args)


def test_deep_expressions() -> None:
    node = H
    for _ in range(20_000):
        node = node + 1
    assert len(topological([node])) == 20_002


def test_repr_is_short() -> None:
    assert repr(H) == "Expr(state h)"
    assert repr(X) == "Expr(input)"
    assert repr(H + C) == "Expr(add, 2 operands)"
