import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.compiler import simplify
from gatewise.compiler.simplify import build
from gatewise.equations import Cell, Expr, maximum, minimum, relu, sigmoid, tanh, topological, where
from gatewise.equations.expression import constant
from tests.combinations import examples
from tests.compiler.evaluation import BATCH, evaluate, full, random_leaves
from tests.compiler.random_cells import cells

H = Expr.make("state", attr="h")
C = Expr.make("state", attr="c")
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, math.nan], dtype=torch.float64)


def bits(value: torch.Tensor) -> torch.Tensor:
    """The bits of each number, with one NaN."""
    return torch.where(value.isnan(), math.nan, value).view(torch.int64)


@pytest.mark.parametrize(
    ("expression", "simpler"),
    [
        (Expr.make("neg", -H), H),
        (H * 1, H),
        (1 * H, H),
        (H / 1, H),
        (H * -1, -H),
        (H / -1, -H),
        (H - 0, H),
        (H + -0.0, H),
        (H + (-C), H - C),
        ((-H) + C, C - H),
        (H - (-C), H + C),
        (abs(-H), abs(H)),
        (abs(abs(H)), abs(H)),
        (relu(relu(H)), relu(H)),
        (minimum(H, H), H),
        (maximum(H, H), H),
        (where(H > C, C, C), C),
        (where(Expr.make("gt", constant(1), constant(0)), H, C), H),
        (constant(2) * 3 + relu(constant(0.5)), constant(6.5)),
        (minimum(constant(2), 3) / maximum(constant(4), 8), constant(0.25)),
    ],
)
def test_exact_rules_keep_every_bit(expression: Expr, simpler: Expr) -> None:
    (actual,) = simplify([expression])
    assert actual is simpler
    pairs = torch.cartesian_prod(SPECIAL, SPECIAL)
    values = {H: pairs[:, 0], C: pairs[:, 1]}
    before, after = (evaluate([root], values)[0].expand(len(pairs)) for root in (expression, actual))
    assert torch.equal(bits(before), bits(after))


@pytest.mark.parametrize(
    "expression",
    [H + 0.0, H - -0.0, 0 + H, 0 * H, 0 / H, 0 - H, H - H, -(H - C), constant(1) / 0, tanh(constant(0.3))],
)
def test_rules_that_change_a_bit_are_not_exact(expression: Expr) -> None:
    """0·∞ is NaN, −0 + 0 is 0, tanh differs between libraries: a cell's own equations keep them."""
    assert simplify([expression])[0] is expression


@pytest.mark.parametrize(
    ("expression", "simpler"),
    [
        (H + 0, H),
        (0 + H, H),
        (2 * sigmoid(constant(0)), constant(1)),
        (0 * H, constant(0)),
        (0 / H, constant(0)),
        (0 - H, -H),
        (H - H, constant(0)),
        (-(H - C), C - H),
        ((-H) * C, -(H * C)),
        (H * (-C), -(H * C)),
        (where(H > C, H, 0) + where(H > C, 0, C), where(H > C, H, C)),
        (where(H > C, H, 0) * 2, where(H > C, H * 2, 0)),
    ],
)
def test_algebraic_rules(expression: Expr, simpler: Expr) -> None:
    assert simplify([expression], exact=False)[0] is simpler


@settings(deadline=None, max_examples=examples(150))
@given(cells(reductions=True), st.booleans(), st.integers(0, 1000))
def test_values_stay(cell: Cell, exact: bool, seed: int) -> None:
    # All of one shape, as a matrix times one vector rounds otherwise than times a batch of equal ones.
    leaves = {
        leaf: value.expand(BATCH, -1).contiguous() if value.dim() == 1 else value
        for leaf, value in random_leaves(cell, seed).items()
    }
    actual = simplify(cell.outputs, exact=exact)
    if exact:
        assert len(topological(actual)) <= len(topological(cell.outputs))
    for after, before in zip(evaluate(actual, leaves), evaluate(cell.outputs, leaves), strict=True):
        torch.testing.assert_close(full(after), full(before), rtol=0 if exact else 1e-9, atol=0 if exact else 1e-9)


def test_a_root_keeps_its_uses() -> None:
    """Otherwise what reaches a returned state inside the step would pass it by, and its gradient be too small."""
    state = -tanh(H)
    output = sigmoid(-state) + (C + state)
    together = simplify([output, state])
    assert together[0] is output
    assert together[1] is state
    assert simplify([output])[0] is sigmoid(tanh(H)) + (C - tanh(H))


def test_operations_without_finite_value_are_kept() -> None:
    assert build("log", constant(0)).op == "log"
    assert build("exp", constant(1e4)).op == "exp"
