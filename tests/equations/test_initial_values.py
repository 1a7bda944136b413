"""Initial values that a cell declares."""

import pickle

import pytest

import gatewise
from gatewise.compiler import without_bias
from gatewise.equations import Cell, DefinitionError, Parameter, cell, sigmoid, tanh


def declaring(initial: dict[str, float]) -> Cell:
    @cell(initial=initial)
    def leaky(x, h, /, W, R, b, p):
        f = sigmoid(W.f @ x + R.f @ h + b.f + p * h)
        return f * h + (1 - f) * tanh(W.n @ x + R.n @ h + b.n)

    return leaky


def test_blocks_and_groups_have_their_values():
    layer = gatewise.Recurrent(declaring({"b.n": -0.5, "p": 3}), 2, 2, bidirectional=True)
    for suffix in ("", "_reverse"):
        assert getattr(layer, f"bias_ih_l0{suffix}").tolist() == [0, 0, -0.5, -0.5]
        assert getattr(layer, f"p_l0{suffix}").tolist() == [3, 3]
    assert declaring({"b": 2}).initial == ((Parameter("b", "f"), 2.0), (Parameter("b", "n"), 2.0))


def test_torchs_scheme_draws_biases_only():
    layer = gatewise.Recurrent(declaring({"b.f": 7, "p": 3}), 2, 2, init="torch")
    assert 7 not in layer.bias_ih_l0.tolist()
    assert layer.p_l0.tolist() == [3, 3]


def test_torchs_scheme_ignores_them_and_an_init_goes_before_them():
    made = declaring({"b.f": 7})
    assert 7 not in gatewise.Recurrent(made, 2, 2, init="torch").bias_ih_l0.tolist()
    init = gatewise.Init(forget_bias=3.0)

    @cell(initial={"b.f": 7})
    def keeping(x, h, /, W, R, b):
        f = sigmoid(W.f @ x + R.f @ h + b.f)
        return f * h + (1 - f) * tanh(W.n @ x + R.n @ h + b.n)

    assert gatewise.Recurrent(keeping, 2, 2, init=init).bias_ih_l0.tolist() == [3, 3, 0, 0]
    assert gatewise.Recurrent(keeping, 2, 2, init="xavier").bias_ih_l0.tolist() == [7, 7, 0, 0]


def test_they_are_part_of_the_text_but_not_of_the_equations():
    with_values, without = declaring({"b.f": 1, "p": -0.1}), declaring({})
    assert with_values != without
    assert with_values.equations == without.equations
    assert pickle.loads(pickle.dumps(with_values)) == with_values
    assert Cell.from_text(with_values.text).initial == with_values.initial
    assert "initial" not in without.text


def test_dropped_blocks_have_none():
    assert without_bias(declaring({"b.f": 1, "p": 2})).initial == ((Parameter("p", None), 2.0),)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ({"b.z": 1}, r"no parameter b\.z; its vectors are b\.f, p, b\.n"),
        ({"W.f": 1}, r"W\.f is a matrix"),
        ({"b.f": float("nan")}, "finite number for b.f, got nan"),
        ({"b.f": "one"}, "expected a number for b.f, got 'one'"),
    ],
)
def test_invalid_declarations_name_the_line(initial: dict[str, float], message: str):
    with pytest.raises(DefinitionError, match=rf"test_initial_values\.py:\d+: cell leaky: initial: .*{message}"):
        declaring(initial)


@pytest.mark.parametrize("line", ['initial {"b.f": "x"}', 'initial ["b.f"]', "initial {", 'initial {"W.f": 1}'])
def test_damaged_text_raises(line: str):
    text = declaring({"b.f": 1}).text.replace('initial {"b.f": 1.0}', line)
    assert line in text
    with pytest.raises(ValueError, match=r"the text of cell leaky|Expecting"):
        Cell.from_text(text)


def test_the_page_of_a_cell_shows_them():
    assert "Initially b_f = 1, p = −2.5." in gatewise.explain(declaring({"b.f": 1, "p": -2.5}))
