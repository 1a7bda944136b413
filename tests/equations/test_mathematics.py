"""Printed equations: read back and computed they give what the cell computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise.cells import lookup, names
from gatewise.equations import (
    Cell,
    Expr,
    cell,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sqrt,
    tanh,
    topological,
    where,
)
from gatewise.equations.expression import Parameter
from gatewise.equations.mathematics import equations
from gatewise.equations.notation import symbols
from gatewise.equations.style import UNICODE
from tests.combinations import examples
from tests.compiler.evaluation import evaluate, full, random_leaves
from tests.compiler.random_cells import cells
from tests.equations.reading import Reader


def by_symbol(cell: Cell, leaves: dict[Expr, Tensor]) -> dict[str, Tensor]:
    """The first sequence of the batch, vectors as columns, under the printed names."""
    known = symbols(cell)
    values: dict[str, Tensor] = {}
    for leaf, value in leaves.items():
        if isinstance(leaf.attr, Parameter):
            values[UNICODE.symbol(known.parameters[leaf.attr])] = value if value.ndim == 2 else value[:, None]
        elif leaf.op == "state":
            values[UNICODE.symbol(known.past[str(leaf.attr)])] = value[0][:, None]
        else:
            values["x_t"] = value[0][:, None]
    assert len(values) == len(leaves), "two things are printed with one name"
    return values


def compute(cell: Cell, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values and those that the printed equations define from them."""
    values = dict(values)
    for left, right in equations(cell):
        assert left not in values, f"{left} is defined twice"
        values[left] = Reader(right, values).read()
    return values


def assert_prints_right(cell: Cell, seed: int) -> None:
    leaves = random_leaves(cell, seed, scale=0.7)
    with torch.no_grad():
        values = compute(cell, by_symbol(cell, leaves))
        for state, wanted in zip(cell.states, evaluate(cell.outputs, leaves), strict=True):
            actual = values[UNICODE.symbol(symbols(cell).present[state])]
            wanted = full(wanted)[0][:, None]
            torch.testing.assert_close(actual.expand(len(wanted), 1), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", names())
def test_built_in_cells_read_back(name: str) -> None:
    assert_prints_right(lookup(name), seed=1)


@settings(deadline=None, max_examples=examples(100))
@given(cells(), st.integers(0, 1000))
def test_random_cells_read_back(cell: Cell, seed: int) -> None:
    assert_prints_right(cell, seed)


H, C, P = Expr.make("state", attr="h"), Expr.make("state", attr="c"), Expr.make("parameter", attr=Parameter("p", None))


@pytest.mark.parametrize(
    ("value", "unicode", "latex"),
    [
        (lambda h, c: h + (c + h), "h_{t−1} + c_{t−1} + h_{t−1}", "h_{t-1} + c_{t-1} + h_{t-1}"),
        (lambda h, c: h - (c - h), "h_{t−1} − (c_{t−1} − h_{t−1})", r"h_{t-1} - \left(c_{t-1} - h_{t-1}\right)"),
        (lambda h, c: h + (-c), "h_{t−1} − c_{t−1}", "h_{t-1} - c_{t-1}"),
        (lambda h, c: h + (-c + h), "h_{t−1} + (−c_{t−1} + h_{t−1})", r"h_{t-1} + \left(-c_{t-1} + h_{t-1}\right)"),
        (lambda h, c: -(h + c), "−(h_{t−1} + c_{t−1})", r"-\left(h_{t-1} + c_{t-1}\right)"),
        (lambda h, c: (1 - h) * c, "(1 − h_{t−1}) ⊙ c_{t−1}", r"\left(1 - h_{t-1}\right) \odot c_{t-1}"),
        (lambda h, c: h * (c * h), "h_{t−1} ⊙ c_{t−1} ⊙ h_{t−1}", r"h_{t-1} \odot c_{t-1} \odot h_{t-1}"),
        (lambda h, c: h / (c / h), "h_{t−1} / (c_{t−1} / h_{t−1})", r"\frac{h_{t-1}}{\frac{c_{t-1}}{h_{t-1}}}"),
        (lambda h, c: 0.5 * h, "0.5·h_{t−1}", r"0.5\,h_{t-1}"),
        (lambda h, c: h * -2, "(−2)·h_{t−1}", r"\left(-2\right)\,h_{t-1}"),
        (lambda h, c: h * h, "h_{t−1}²", "h_{t-1}^{2}"),
        (lambda h, c: tanh(h) * tanh(h), "tanh²(h_{t−1})", r"\tanh^{2}\left(h_{t-1}\right)"),
        (lambda h, c: (h + c) * (h + c), "(h_{t−1} + c_{t−1})²", r"\left(h_{t-1} + c_{t-1}\right)^{2}"),
        (
            lambda h, c: expm1(h) * c,
            "(exp(h_{t−1}) − 1) ⊙ c_{t−1}",
            r"\left(\exp\left(h_{t-1}\right) - 1\right) \odot c_{t-1}",
        ),
        (lambda h, c: log1p(h - c), "ln(1 + h_{t−1} − c_{t−1})", r"\ln\left(1 + h_{t-1} - c_{t-1}\right)"),
        (lambda h, c: log1p(-h), "ln(1 + (−h_{t−1}))", r"\ln\left(1 + \left(-h_{t-1}\right)\right)"),
        (lambda h, c: sqrt(abs(h)), "√(|h_{t−1}|)", r"\sqrt{\left|h_{t-1}\right|}"),
        (lambda h, c: log(exp(h)), "ln(exp(h_{t−1}))", r"\ln\left(\exp\left(h_{t-1}\right)\right)"),
        (
            lambda h, c: sigmoid(relu(h)),
            "σ(ReLU(h_{t−1}))",
            r"\sigma\left(\operatorname{ReLU}\left(h_{t-1}\right)\right)",
        ),
        (
            lambda h, c: maximum(minimum(h, c), h),
            "max(min(h_{t−1}, c_{t−1}), h_{t−1})",
            r"\max\left(\min\left(h_{t-1}, c_{t-1}\right), h_{t-1}\right)",
        ),
        (
            lambda h, c: where(h < c, h, 0),
            "h_{t−1} ⊙ [h_{t−1} < c_{t−1}]",
            r"h_{t-1} \odot \left[h_{t-1} < c_{t-1}\right]",
        ),
        (
            lambda h, c: where(h < c, 0, h),
            "h_{t−1} ⊙ [h_{t−1} ≥ c_{t−1}]",
            r"h_{t-1} \odot \left[h_{t-1} \geq c_{t-1}\right]",
        ),
        (lambda h, c: where(h > 0, 1, 0), "[h_{t−1} > 0]", r"\left[h_{t-1} > 0\right]"),
        (
            lambda h, c: where(h > c, h, -c),
            "h_{t−1} if h_{t−1} > c_{t−1} else −c_{t−1}",
            r"\begin{cases}h_{t-1} & \text{if } h_{t-1} > c_{t-1} \\ -c_{t-1} & \text{else}\end{cases}",
        ),
    ],
)
def test_parentheses_are_the_fewest(value, unicode: str, latex: str) -> None:
    @cell
    def printed(x, h, c, /, W):
        return value(h, c), W @ x

    assert equations(printed)[0].right == unicode
    assert equations(printed, latex=True)[0].right == latex


def test_printing_an_equivalent_does_not_use_names_of_later_values() -> None:
    @cell
    def both(x, h, c, /, W, R):
        a = W @ x + R @ (h * c)
        return expm1(a), exp(a) - 1

    assert [line.right for line in equations(both)][1:] == ["exp(a_t) − 1", "exp(a_t) − 1"]
    assert_prints_right(both, seed=1)


def test_products_with_products() -> None:
    @cell
    def nested(x, h, /, W, R, Q):
        return W @ x + R @ (Q @ h) * h + R @ (1 - h)

    (line,) = equations(nested)
    assert line.right == "W_xh x_t + (R (Q h_{t−1})) ⊙ h_{t−1} + R (1 − h_{t−1})"


def test_symbols_of_a_user_defined_cell() -> None:
    @cell
    def mine(x, hidden, memory, /, W, V, R, keep, b):
        h = sigmoid(W.forget @ x + R.forget @ memory + keep.forget * memory + b.forget)
        return h * tanh(V.x @ x), h

    left, right = zip(*equations(mine), strict=True)
    assert left == ("memory_t", "x\u0303_t", "hidden_t")
    assert right == (
        "σ(W_forget x_t + W_memory,forget memory_{t−1} + keep_forget ⊙ memory_{t−1} + b_forget)",
        "tanh(V_x x_t)",
        "memory_t ⊙ x\u0303_t",
    )
    assert equations(mine, latex=True)[0].right.startswith(
        r"\sigma\left(W_{\mathit{forget}} x_{t} + W_{\mathit{memory}"
    )


def test_shared_values_get_one_name() -> None:
    @cell
    def shared(x, h, /, W, R):
        u = W @ x + R @ h
        return u * tanh(u) + (1 - h) * (1 - h)

    assert [line.left for line in equations(shared)] == ["a_t", "h_t"]
    assert equations(shared)[1].right == "a_t ⊙ tanh(a_t) + (1 − h_{t−1})²"


def test_a_shared_condition_is_written_out() -> None:
    @cell
    def switched(x, h, /, W, R, Q):
        above = R @ h > Q @ h
        return where(above, h, 1) + where(above, W @ x, -1)

    condition = "R h_{t−1} > Q h_{t−1}"
    (line,) = equations(switched)
    assert line.right == f"(h_{{t−1}} if {condition} else 1) + (W_xh x_t if {condition} else −1)"


def test_states_returned_twice_or_shifted() -> None:
    @cell
    def delay(x, h, c, e, /, W):
        new = tanh(W @ x)
        return new, new, h

    assert [tuple(line) for line in equations(delay)] == [
        ("h_t", "tanh(W_xh x_t)"),
        ("c_t", "h_t"),
        ("e_t", "h_{t−1}"),
    ]


@pytest.mark.parametrize("name", names())
def test_latex_is_understood(name: str) -> None:
    """By matplotlib's own reader of TeX, which knows all but `cases`."""
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    for line in equations(lookup(name), latex=True):
        if "cases" not in line.right:
            parser.parse(f"${line.left} = {line.right}$")


def test_every_leaf_of_a_built_in_cell_has_its_textbook_name() -> None:
    printed = {
        name: {UNICODE.symbol(symbol) for symbol in symbols(lookup(name)).parameters.values()} for name in names()
    }
    assert printed["rnn_tanh"] == {"W_xh", "W_hh", "b_xh", "b_hh"}
    assert {"W_ci", "W_cf", "W_co", "W_hi", "b_g"} < printed["peephole_lstm_full"]
    assert {"p_i", "p_f", "p_o"} < printed["peephole_lstm"]
    assert all(len(topological(lookup(name).outputs)) > 5 for name in names())
