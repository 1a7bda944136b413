"""The derived gradient of a step against torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.cells import lookup, names
from gatewise.compiler import differentiate, without_bias
from gatewise.compiler.differentiate import backpropagate, upstream_leaf
from gatewise.equations import Cell, Expr, cell, relu, tanh, topological, where
from gatewise.equations.expression import Parameter
from tests.combinations import examples
from tests.compiler.evaluation import BATCH, HIDDEN, evaluate, full, random_leaves
from tests.compiler.random_cells import cells


def derived(cell: Cell, leaves: dict[Expr, torch.Tensor], arrived: list[torch.Tensor]) -> dict[Expr, torch.Tensor]:
    """The gradient of every leaf from the derived expressions; a missing entry means zero."""
    gradient = differentiate(cell)
    values = leaves | {upstream_leaf(state): upstream for state, upstream in zip(cell.states, arrived, strict=True)}
    result = {leaf: torch.zeros_like(value) for leaf, value in leaves.items()}
    for leaf, value in leaves.items():
        if leaf.op == "state" and str(leaf.attr) in gradient.states:
            (found,) = evaluate([gradient.states[str(leaf.attr)]], values)
            result[leaf] = full(found)
        elif leaf.op == "input" and gradient.input is not None:
            (result[leaf],) = evaluate([gradient.input], values)
        elif isinstance(leaf.attr, Parameter) and leaf.attr in gradient.vectors:
            (found,) = evaluate([gradient.vectors[leaf.attr]], values)
            result[leaf] = full(found).sum(0)
        elif isinstance(leaf.attr, Parameter):
            for delta, operand in gradient.matrices.get(leaf.attr, []):
                delta, operand = evaluate([delta, operand], values)
                result[leaf] = result[leaf] + full(delta).T @ operand.expand(BATCH, value.shape[1])
    return result


def assert_as_autograd(cell: Cell, leaves: dict[Expr, torch.Tensor]) -> None:
    outputs = [full(output) for output in evaluate(cell.outputs, leaves)]
    generator = torch.Generator().manual_seed(7)
    arrived = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in outputs]
    tracked = [output for output in outputs if output.requires_grad]
    upstream = [arrival for output, arrival in zip(outputs, arrived, strict=True) if output.requires_grad]
    expected = torch.autograd.grad(tracked, list(leaves.values()), upstream, allow_unused=True)
    with torch.no_grad():
        actual = derived(cell, leaves, arrived)
    for (leaf, value), wanted in zip(leaves.items(), expected, strict=True):
        wanted = torch.zeros_like(value) if wanted is None else wanted
        torch.testing.assert_close(actual[leaf], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("bias", [True, False])
def test_built_in_cells(name: str, bias: bool) -> None:
    cell = lookup(name) if bias else without_bias(lookup(name))
    assert_as_autograd(cell, random_leaves(cell, seed=1))


@settings(deadline=None, max_examples=examples(150))
@given(cells(reductions=True), st.integers(0, 1000))
def test_random_cells(cell: Cell, seed: int) -> None:
    assert_as_autograd(cell, random_leaves(cell, seed, scale=0.7))


@settings(deadline=None, max_examples=examples(150))
@given(cells(reductions=True), st.integers(0, 1000))
def test_random_cells_at_ties_and_kinks(cell: Cell, seed: int) -> None:
    assert_as_autograd(cell, random_leaves(cell, seed, grid=True))


@pytest.mark.parametrize("op", ["relu", "abs", "minimum", "maximum", "where"])
def test_at_a_tie(op: str) -> None:
    zero_and_h = [Expr.make("constant", attr=0.0), Expr.make("state", attr="h")]

    @cell
    def kink(x, h, /, W):
        u = h * 1.5
        if op == "where":
            return W @ x + where(u > 0.0, u, 3 * u)
        return W @ x + (Expr.make(op, u) if op in ("relu", "abs") else Expr.make(op, u, 0.5 * (h + 2 * h)))

    leaves = random_leaves(kink, seed=2)
    with torch.no_grad():
        leaves[zero_and_h[1]].zero_()
    assert_as_autograd(kink, leaves)


def test_a_branch_not_taken_gets_a_selected_zero() -> None:
    """Not a product with zero, which an infinite gradient would turn into NaN: as in torch."""

    @cell
    def branches(x, h, c, /, W):
        return where(h > 0, 2 * h, relu(c)) + W @ x, c

    leaves = random_leaves(branches, seed=3)
    states = [Expr.make("state", attr=name) for name in branches.states]
    arrived = [torch.full((BATCH, HIDDEN), float("inf"), dtype=torch.float64), torch.zeros(BATCH, HIDDEN)]
    outputs = evaluate(branches.outputs, leaves)
    expected = torch.autograd.grad(outputs[0], [leaves[state] for state in states], arrived[0])
    with torch.no_grad():
        actual = derived(branches, leaves, arrived)
    for state, wanted in zip(states, expected, strict=True):
        assert not wanted.isnan().any()
        torch.testing.assert_close(actual[state], wanted)


def test_common_factors_of_negative_terms() -> None:
    @cell
    def negative(x, h, /, W):
        z = W @ x
        return (1 - z) * h + (2 - z) * tanh(h)

    assert_as_autograd(negative, random_leaves(negative, seed=4))


def test_values_without_influence_have_no_gradient() -> None:
    @cell
    def forgetful(x, h, c, /, W, R):
        return W @ x, R @ h

    gradient = differentiate(forgetful)
    assert set(gradient.states) == {"h"}
    assert set(gradient.matrices) == {Parameter("W", None), Parameter("R", None)}


def test_outputs_of_activations_are_reused() -> None:
    """No activation in the gradient that the forward pass did not compute."""
    cell = lookup("lstm")
    gradient = differentiate(cell)
    forward = {node for node in topological(cell.outputs) if node.op in ("sigmoid", "tanh")}
    roots = [*gradient.states.values(), *gradient.vectors.values()]
    assert {node for node in topological(roots) if node.op in ("sigmoid", "tanh")} <= forward


def test_common_factors_are_extracted() -> None:
    """z of a GRU: δh ⊙ (n − h), one product instead of two."""
    cell = lookup("gru_chung2014")
    adjoint = differentiate(cell).adjoints[cell.gate_value("z")]
    assert adjoint is Expr.make("mul", upstream_leaf("h"), cell.gate_value("n") - Expr.make("state", attr="h"))


def test_shares_are_simplified_by_algebra() -> None:
    """The gradient of −h, where that of its value is a − b, is b − a."""
    h, a, b = Expr.make("state", attr="h"), upstream_leaf("a"), upstream_leaf("b")
    negated = -h
    assert backpropagate([(negated, a - b)], [h, negated])[h] is b - a
