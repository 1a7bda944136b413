"""Sums and norms over units: what they compute, how they are printed, which definitions they reject."""

import re

import pytest
import torch

import gatewise
from gatewise.compiler.simplify import number, simplify
from gatewise.equations import Cell, DefinitionError, Expr, cell, layer_norm, mean, rms_norm, sigmoid, tanh
from gatewise.equations import sum as over_units
from gatewise.equations.expression import Parameter, Width
from gatewise.equations.mathematics import equations
from gatewise.equations.norms import norms_of, with_norms
from tests.compiler.evaluation import evaluate

H, C = Expr.make("state", attr="h"), Expr.make("state", attr="c")
P = Expr.make("parameter", attr=Parameter("p", None))
VALUES = {node: torch.randn(3, 5, dtype=torch.float64) for node in (H, C)} | {P: torch.randn(5, dtype=torch.float64)}


def computed(node: Expr) -> torch.Tensor:
    return evaluate([node], VALUES)[0]


def test_values_are_torchs():
    h, c = VALUES[H], VALUES[C]
    torch.testing.assert_close(computed(over_units(H)), h.sum(-1, keepdim=True))
    torch.testing.assert_close(computed(mean(H * C)), (h * c).mean(-1, keepdim=True))
    expected = torch.nn.functional.layer_norm(h, (5,), VALUES[P], VALUES[P], eps=0.125)
    torch.testing.assert_close(computed(layer_norm(H, P, P, eps=0.125)), expected)
    torch.testing.assert_close(
        computed(rms_norm(H, P, eps=0.25)), torch.nn.RMSNorm(5, eps=0.25).double()(h) * VALUES[P]
    )
    together = torch.nn.functional.layer_norm(torch.cat([h, c], -1), (10,)).chunk(2, -1)
    torch.testing.assert_close([computed(one) for one in layer_norm((H, C))], list(together))
    first, second = rms_norm((H, C), (P, P))
    root = torch.cat([h, c], -1).square().mean(-1, keepdim=True).add(1e-5).sqrt()
    torch.testing.assert_close(computed(first), h / root * VALUES[P])
    torch.testing.assert_close(computed(second), c / root * VALUES[P])


def test_widths():
    assert [one.width for one in (P, H, mean(H), mean(H) + 1, mean(H) * C)] == [
        Width.UNITS,
        Width.UNITS,
        Width.ROW,
        Width.ROW,
        Width.UNITS,
    ]
    assert Expr.make("constant", attr=2.0).width is Width.NUMBER


def test_simpler_sums():
    centred = H - mean(H)
    assert number(simplify([over_units(centred)], exact=False)[0]) == 0
    one, other = layer_norm((H, C))
    deviations = one.args[0] + other.args[0]
    assert number(simplify([over_units(deviations)], exact=False)[0]) == 0
    assert number(simplify([over_units(deviations)])[0]) is None  # in what a cell computes nothing changes
    assert number(simplify([over_units(one.args[0])], exact=False)[0]) is None  # one of both alone


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (lambda x, h, /, W, R: tanh(W @ x + R @ mean(h)), "must be x or an expression of width H, not a sum or mean"),
        (lambda x, h, /, W, R: tanh(W @ x + R @ h) * mean(x), "x has the width of the input"),
        (lambda x, h, /, W, R: tanh(W @ x + R @ h) * mean(mean(h)), "not a number, or a sum or mean over units"),
        (lambda x, h, /, W, R: tanh(W @ x + R @ h) * mean(h > 0), "width H, not a comparison"),
        (lambda x, h, /, W, R, a: layer_norm((W @ x, R @ h), a)[0], "the parameters of no gate"),
        (lambda x, h, /, W, R, a: layer_norm((W.i @ x + R.f @ h, R.f @ h), a)[0], "the parameters of gates i, f"),
        (
            lambda x, h, /, W, R, a: layer_norm((W.i @ x, R.f @ h), a.i)[0],
            "gain: expected a parameter group, or a tuple",
        ),
        (lambda x, h, /, W, R, a: layer_norm((W.i @ x, R.f @ h), (a.i,))[0], "gain: expected a vector for each of 2"),
        (lambda x, h, /, W, R, a: layer_norm(W.i @ x, (a.i,)), "gain: expected a vector for each of 1"),
        (lambda x, h, /, W, R, a: layer_norm((), a) + W @ x + R @ h, "at least one"),
    ],
)
def test_rejected_definitions_name_the_line(equations, message: str):
    with pytest.raises(DefinitionError, match=rf"test_reductions\.py:\d+: .*{re.escape(message)}"):
        cell(equations)


@cell
def joint(x, h, c, /, W, R, a, s, p):
    i, f = layer_norm((W.i @ x + R.i @ h, W.f @ x + R.f @ h), a, s, eps=0.25)
    c = sigmoid(f) * c + i * rms_norm(c, p)
    return tanh(c) * mean(h), c


def test_printed():
    lines = {line.left: line.right for line in equations(joint)}
    assert lines["i_t"] == "a_i ⊙ LN_if(W_xi x_t + W_hi h_{t−1}) + s_i"
    assert lines["c_t"] == "f_t ⊙ c_{t−1} + i_t ⊙ p ⊙ RMSNorm(c_{t−1})"
    assert lines["h_t"].endswith("mean(h_{t−1})")
    latex = " ".join(line.right for line in equations(joint, latex=True))
    assert r"\operatorname{LN}_{if}\left(" in latex
    assert r"\operatorname{mean}\left(h_{t-1}\right)" in latex


def test_the_page_says_what_norms_are():
    text = " ".join(gatewise.explain(joint).split())
    assert (
        "LN(v) is (v − m) / √(s + 0.25), with the mean m and the variance s of v over the units of the layer." in text
    )
    assert "LN_if takes them over the blocks of all the gates in the subscript together." in text
    assert "RMSNorm(v) is v / √(s + 1e−05), with the mean s of the squares of v" in text
    assert (
        "LN′(q; v) is the gradient of v, given that of LN(v), q: (q − mean(q) − LN(v) ⊙ mean(q ⊙ LN(v))) / √(s" in text
    )
    assert "RMSNorm′(q; v)" in text
    assert "LN" not in gatewise.explain("lstm")


def test_a_joint_norm_is_one_only_if_all_of_it_is_used():
    @cell
    def half(x, h, /, W, R):
        i, _ = layer_norm((W.i @ x + R.i @ h, R.f @ h))
        return tanh(i)

    assert norms_of(half) == []
    assert with_norms(half).outputs[0] is half.outputs[0]
    assert sorted((norm.name, norm.eps) for norm in norms_of(joint)) == [
        ("LN_if", 0.25),
        ("LN_if", 0.25),
        ("RMSNorm", 1e-5),
    ]


def test_a_gate_is_its_own_though_a_norm_mixes_all():
    lstm = gatewise.cells.lookup("lstm_layer_norm")
    assert [lstm.gate_value(gate).op for gate in lstm.gates] == ["sigmoid", "sigmoid", "tanh", "sigmoid"]


def test_text_round_trip():
    assert Cell.from_text(joint.text) == joint
    lines = joint.text.splitlines()
    where = next(index for index, line in enumerate(lines) if " = sum " in line)
    units = next(line.split()[0] for line in lines if line.endswith("= units"))
    for damaged in (lines[where].rsplit(" ", 1)[0], f"{lines[where].rsplit(' ', 1)[0]} {units}"):
        with pytest.raises(ValueError, match="is not a node"):
            Cell.from_text("\n".join([*lines[:where], damaged, *lines[where + 1 :]]))
