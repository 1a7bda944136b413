"""An executed plan against the plain evaluation of the cell and torch's gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise.cells import lookup, names
from gatewise.compiler import Plan, differentiate, plan
from gatewise.compiler.differentiate import upstream_leaf
from gatewise.compiler.schedule import Stage
from gatewise.equations import Cell, Expr, Parameter, cell, tanh
from gatewise.equations.expression import COMPARISONS
from tests.combinations import examples
from tests.compiler.evaluation import BATCH, HIDDEN, INPUT, apply, evaluate, full, random_leaves
from tests.compiler.random_cells import cells

X = Expr.make("input")


def run(stages: tuple[Stage, ...], known: dict[Expr, Tensor]) -> dict[Expr, Tensor]:
    """What the stages compute; a node must find its operands computed, by an earlier stage if it is a product."""
    known = dict(known)

    def value(node: Expr) -> Tensor:
        if node.op in ("constant", "units") or node.op in COMPARISONS:
            return apply(node, *(value(arg) for arg in node.args))
        return known[node]

    for stage in stages:
        before = {product.args[1]: value(product.args[1]) for product in stage.products}
        known |= {
            product: apply(product, known[product.args[0]], before[product.args[1]]) for product in stage.products
        }
        for node in stage.work:
            known[node] = apply(node, *(value(arg) for arg in node.args))
    return known


def forward(planned: Plan, leaves: dict[Expr, Tensor]) -> tuple[list[Tensor], dict[Expr, Tensor]]:
    once = dict(zip(planned.hoisted, evaluate(planned.hoisted, leaves), strict=True))
    blocks = {leaf: value for leaf, value in leaves.items() if value.ndim == 2 and leaf.op == "parameter"}
    before_loop = once | blocks | {X: leaves[X]}
    inputs = dict(zip(planned.input_projections, evaluate(planned.input_projections, before_loop), strict=True))
    states = {leaf: value for leaf, value in leaves.items() if leaf.op == "state"}
    known = run(planned.stages, once | blocks | inputs | states)
    return [full(apply(out) if out.op == "constant" else known[out]) for out in planned.outputs], known


def backward(
    planned: Plan,
    leaves: dict[Expr, Tensor],
    known: dict[Expr, Tensor],
    outputs: list[Tensor],
    incoming: list[Tensor],
) -> dict[Expr, Tensor]:
    """The gradients of all leaves, from the values that the plan saves."""
    back = planned.backward
    saved = {node: known[node] for node in back.saved}
    saved |= {out: value for out, value in zip(planned.outputs, outputs, strict=True) if out.op != "constant"}
    saved |= {leaf: value for leaf, value in leaves.items() if leaf.op == "state" or value.ndim == 2}
    saved |= dict(zip(back.hoisted, evaluate(back.hoisted, leaves), strict=True))
    saved |= {upstream_leaf(state): arrival for state, arrival in zip(planned.cell.states, incoming, strict=True)}
    found = run(back.stages, saved)

    def value(node: Expr) -> Tensor:
        return apply(node) if node.op == "constant" else found[node]

    result = {leaf: torch.zeros_like(held) for leaf, held in leaves.items()}
    for leaf in leaves:
        if leaf.op == "state" and str(leaf.attr) in back.states:
            result[leaf] = full(value(back.states[str(leaf.attr)]))
    if back.input is not None:
        (result[X],) = evaluate([back.input], found)
    for block, delta, operand in back.outers:
        leaf = Expr.make("parameter", attr=block)
        result[leaf] = result[leaf] + full(value(delta)).T @ value(operand).expand(BATCH, result[leaf].shape[1])
    totals = {
        upstream_leaf(str(index)): full(value(back.reductions[root])).sum(0)
        for index, root in enumerate(planned.hoisted)
        if root in back.reductions
    }
    after = leaves | totals
    for block, gradient in back.parameters.vectors.items():
        leaf = Expr.make("parameter", attr=block)
        result[leaf] = result[leaf] + evaluate([gradient], after)[0]
    for block, pairs in back.parameters.matrices.items():
        leaf = Expr.make("parameter", attr=block)
        for delta, operand in pairs:
            delta, operand = evaluate([delta, operand], after)
            result[leaf] = result[leaf] + torch.outer(delta.expand(HIDDEN), operand.expand(HIDDEN))
    return result


def assert_plan_runs(cell: Cell, leaves: dict[Expr, Tensor]) -> None:
    planned = plan(cell)
    generator = torch.Generator().manual_seed(5)
    expected = [full(output) for output in evaluate(cell.outputs, leaves)]
    incoming = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in expected]
    tracked = [output for output in expected if output.requires_grad]
    upstream = [arrival for output, arrival in zip(expected, incoming, strict=True) if output.requires_grad]
    gradients = torch.autograd.grad(tracked, list(leaves.values()), upstream, allow_unused=True)
    with torch.no_grad():
        outputs, known = forward(planned, leaves)
        for actual, wanted in zip(outputs, expected, strict=True):
            torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-9)
        found = backward(planned, leaves, known, outputs, incoming)
    for leaf, wanted in zip(leaves, gradients, strict=True):
        wanted = torch.zeros_like(leaves[leaf]) if wanted is None else wanted
        torch.testing.assert_close(found[leaf], wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", names())
def test_built_in_cells(name: str) -> None:
    assert_plan_runs(lookup(name), random_leaves(lookup(name), seed=1))


@settings(deadline=None, max_examples=examples(150))
@given(cells(reductions=True), st.integers(0, 1000))
def test_random_cells(cell: Cell, seed: int) -> None:
    assert_plan_runs(cell, random_leaves(cell, seed, scale=0.7))


def test_loop_invariants_with_products_and_shared_vectors() -> None:
    """Everything that is the same at every step leaves the loop, and its gradient is reduced before it propagates."""

    @cell
    def loop_invariant(x, h, /, W, R, Q, b, p):
        return tanh(W @ x - (Q @ tanh(b) * p + b) + (R @ h) * p) * p

    planned = plan(loop_invariant)
    assert [node.op for stage in planned.stages for node in stage.products] == ["matmul"]
    assert planned.backward.parameters.matrices.keys() == {Parameter("Q", None)}
    assert_plan_runs(loop_invariant, random_leaves(loop_invariant, seed=4))


@pytest.mark.parametrize(
    ("name", "saved", "products_by_stage"),
    [
        ("rnn_tanh", 1, [1]),
        ("rnn_relu", 1, [1]),
        ("rnn_leaky_relu", 2, [1]),
        ("lstm", 6, [4]),
        ("gru_cudnn", 5, [3]),
        ("gru_chung2014", 4, [2, 1]),
        ("peephole_lstm", 6, [4]),
        ("peephole_lstm_full", 6, [6, 1]),
        ("lstm_projected", 6, [4, 1]),
    ],
)
def test_saved_per_unit_and_step_and_stages(name: str, saved: int, products_by_stage: list[int]) -> None:
    """The states are kept as well: an LSTM needs i f g o c h, a GRU r z n, the product of n, and h."""
    planned = plan(lookup(name))
    assert len(planned.backward.saved) + len(set(planned.outputs)) == saved
    assert [len(stage.products) for stage in planned.stages if stage.products] == products_by_stage


@pytest.mark.parametrize(("name", "blocks"), [("rnn_tanh", (1, 1)), ("lstm", (4, 4)), ("gru_chung2014", (3, 3))])
def test_multiply_adds(name: str, blocks: tuple[int, int]) -> None:
    with_x, of_h = blocks
    assert plan(lookup(name)).multiply_adds(10, 20) == 20 * (10 * with_x + 20 * of_h)
    assert plan(lookup("lstm_projected")).multiply_adds(10, 20, 5) == 4 * 20 * (10 + 5) + 5 * 20


def test_biases_are_added_once_outside_the_loop() -> None:
    planned = plan(lookup("lstm"))
    assert len(planned.input_projections) == 4
    assert {node.op for node in planned.hoisted} == {"add"}
    # Per step: four sums of both sides, and the one of the cell state.
    assert planned.operations["add"] == 5


def test_operands_group_products() -> None:
    (_, first, second) = plan(lookup("gru_chung2014")).stages
    assert [len(products) for products in first.operands.values()] == [2]
    (operand,) = second.operands
    assert operand.op == "mul"


def test_input_width_follows_from_x() -> None:
    planned = plan(lookup("gru_cudnn"))
    gradient = differentiate(lookup("gru_cudnn")).input
    assert gradient is not None
    leaves = random_leaves(lookup("gru_cudnn"), seed=1)
    incoming = {upstream_leaf("h"): torch.ones(BATCH, HIDDEN, dtype=torch.float64)}
    assert evaluate([gradient], leaves | incoming)[0].shape == (BATCH, INPUT)
    assert len(planned.input_products) == 3
