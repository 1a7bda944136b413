"""Cells are compared as functions of named blocks, whatever the order of their lines."""

import pytest

from gatewise.cells import lookup, names
from gatewise.compiler import without_bias
from gatewise.equations import Cell, cell, maximum, sigmoid, tanh
from gatewise.equations.normal_form import normal_form


@cell
def lines_reordered(x, hidden, memory, /, R, W, d, b):
    """The LSTM with other lines, states, signature and order of terms."""
    o = sigmoid(d.o + R.o @ hidden + W.o @ x + b.o)
    f = sigmoid(W.f @ x + (b.f + R.f @ hidden) + d.f)
    g = tanh(W.g @ x + b.g + R.g @ hidden + d.g)
    i = sigmoid(W.i @ x + b.i + R.i @ hidden + d.i)
    memory = g * i + memory * f
    return tanh(memory) * o, memory


def test_lines_states_and_terms_may_be_in_any_order():
    assert normal_form(lines_reordered) == normal_form(lookup("lstm"))
    assert lines_reordered.gates == ("o", "f", "g", "i")
    assert lines_reordered.equations != lookup("lstm").equations


def test_built_in_cells_differ_from_each_other_with_and_without_bias():
    forms = {normal_form(form) for name in names() for form in (lookup(name), without_bias(lookup(name)))}
    assert len(forms) == sum(1 + bool({"b", "d"} & set(lookup(name).groups)) for name in names())


def test_what_does_not_commute_keeps_its_order():
    @cell
    def one(x, h, /, W, R):
        return (W.a @ x) - (R.b @ h)

    @cell
    def other(x, h, /, W, R):
        return (R.b @ h) - (W.a @ x)

    assert normal_form(one) != normal_form(other)


def test_states_are_distinguished_by_their_position():
    @cell
    def one(x, h, c, /, W, p):
        return W @ x + p * h, c + 1

    @cell
    def other(x, h, c, /, W, p):
        return W @ x + p * c, h + 1

    assert normal_form(one) != normal_form(other)


def test_a_sum_that_is_used_twice_is_not_taken_apart():
    @cell
    def doubled(x, h, /, W, R):
        total = W @ x + R @ h
        for _ in range(60):
            total = total + total
        return maximum(total, h)

    assert len(normal_form(doubled)) == 64
    assert normal_form(Cell.from_text(doubled.text)) == normal_form(doubled)


@pytest.mark.parametrize("name", names())
def test_the_text_of_a_cell_has_its_form(name):
    assert normal_form(Cell.from_equations(lookup(name).equations)) == normal_form(lookup(name))
