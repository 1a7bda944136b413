"""Tracing a function to a cell: what is derived, and errors with file and line."""

import inspect
import re

import numpy
import pytest
import torch

from gatewise.equations import Cell, DefinitionError, cell, relu, sigmoid, tanh, where


def test_states_groups_gates_and_shapes_follow() -> None:
    @cell(cite="somewhere")
    def made(x, h, c, /, W, R, p, b):
        """What it is for."""
        f = sigmoid(W.f @ x + R.f @ (h * c) + p.f * c)
        n = tanh(W.n @ x + R.n @ h + b)
        return f * n, c + f

    assert (made.name, made.cite, made.doc) == ("made", "somewhere", "What it is for.")
    assert (made.states, made.groups, made.gates) == (("h", "c"), ("W", "R", "p", "b"), ("f", "n"))
    assert [made.shape_of(group) for group in made.groups] == ["input", "recurrent", "vector", "vector"]
    assert [made.gates_of(group) for group in made.groups] == [("f", "n"), ("f", "n"), ("f",), (None,)]
    assert [made.parameter_shape(group, 3, 4) for group in made.groups] == [(8, 3), (8, 4), (4,), (4,)]
    assert made.gate_value("f").op == "sigmoid"
    with pytest.raises(KeyError, match="q"):
        made.shape_of("q")
    with pytest.raises(KeyError, match="q"):
        made.gate_value("q")


def test_gates_are_in_order_of_first_appearance() -> None:
    @cell
    def late(x, h, /, W, R, b):
        o = sigmoid(b.o + W.o @ x)
        return o * tanh(W.a @ x + R.a @ h) + b.a

    assert late.gates == ("o", "a")


def test_gate_used_in_a_comparison_has_the_selected_value() -> None:
    @cell
    def compared(x, h, /, W, b):
        return where(W.b @ x > b.b, h, -h) + W.a @ x

    assert compared.gate_value("b").op == "where"

    @cell
    def threshold(x, h, /, W, R, p):
        a = W.a @ x + R.a @ h
        return tanh(where(a < p.b, a, -a))

    assert threshold.gate_value("b") is threshold.outputs[0]  # not a comparison, which has no value


def define(function, message: str, line_holds: str) -> None:
    """The definition raises, and the message begins with this file and the line that holds this text."""
    with pytest.raises(DefinitionError, match=message) as raised:
        cell(function)
    message = re.match(r"(.*?):(\d+): cell (\w+): ", str(raised.value))
    assert message is not None
    assert message[1] == __file__
    assert message[3] == function.__name__
    source, first = inspect.getsourcelines(function)
    assert line_holds in source[int(message[2]) - first]


def test_control_flow_on_a_value_raises() -> None:
    def decides(x, h, /, W):
        new = W @ x
        if h > 0:
            return h
        return new

    define(decides, "use where.*\n  supported: ", "if h > 0")


def test_error_in_a_helper_names_the_users_line() -> None:
    def squared(a):
        return a**2

    def uses_it(x, h, /, W):
        return squared(W @ x) + h

    with pytest.raises(DefinitionError, match=r"write a product") as raised:
        cell(uses_it)
    line = inspect.getsourcelines(squared)[1] + 1
    assert str(raised.value).startswith(f"{__file__}:{line}: cell uses_it: ")


@pytest.mark.parametrize(
    ("library", "message"), [(torch.tanh, "Tensor"), (numpy.tanh, "does not support ufuncs"), (torch.mean, "Tensor")]
)
def test_other_libraries_functions(library, message: str) -> None:
    def foreign(x, h, /, W):
        return library(W @ x) + h

    define(foreign, f"(?s){message}.*use the functions of gatewise.equations.*supported: ", "library(")


def test_numbers_of_other_libraries() -> None:
    def tensor(x, h, /, W):
        return W @ x + h * torch.ones(1)

    define(tensor, "supported: ", "torch.ones")


def test_a_reduction_over_units() -> None:
    def reduces(x, h, /, W):
        return W @ x + h.mean()

    define(reduces, "no attribute 'mean'", "h.mean()")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_value_per_state(count: int) -> None:
    def returns(x, h, c, /, W):
        return (W @ x, h, c)[:count]

    define(returns, rf"one value per state must be returned, in the order \(h, c\); got {count}", "def returns")


def test_nothing_returned() -> None:
    def nothing(x, h, /, W):
        W @ x

    define(nothing, "the value returned for state h: .*NoneType", "def nothing")


def test_x_or_a_comparison_returned() -> None:
    def passes_x(x, h, c, /, W):
        return x, W @ x

    def compares(x, h, c, /, W):
        return h > 0, W @ x

    define(passes_x, "state h is x itself", "def passes_x")
    define(compares, "state h is a comparison", "def compares")


def test_signatures() -> None:
    def no_slash(x, h, W):
        return h

    def no_state(x, /, W):
        return W @ x

    def no_groups(x, h, /):
        return h

    def a_default(x, h, /, W=1):
        return W @ x

    def starred(x, h, /, *groups):
        return h

    def keyword(x, h, /, W, *, R):
        return h

    define(no_slash, "before a /", "def no_slash")
    define(no_state, "needs a state after x", "def no_state")
    define(no_groups, "there are none", "def no_groups")
    define(a_default, "W must have no default", "def a_default")
    define(starred, r"\*groups and keyword-only", "def starred")
    define(keyword, "keyword-only arguments have no meaning", "def keyword")


def test_parameters_without_a_use_or_with_two() -> None:
    def unused(x, h, /, W, R):
        return W @ x + h

    def named_only(x, h, /, W, b):
        b.i + 1
        return W @ x + b.o

    def two_shapes(x, h, /, W):
        return W @ x + W @ h

    def mixed_group(x, h, /, W):
        return W.a @ x + W.b * h

    def half_named(x, h, /, W, b):
        return W @ x + b + b.i

    def without_x(x, h, /, R):
        return R @ h

    define(unused, "parameter group R is never used", "def unused")
    define(named_only, "b.i is named but no returned value depends on it", "b.i + 1")
    define(two_shapes, "W is used as a matrix times x and as a matrix times a state", "def two_shapes")
    define(mixed_group, "W.a is of kind input and W.b of kind vector", "W.b * h")
    define(half_named, "b is used both with and without gate names", "b.i")
    define(without_x, "x is never read", "def without_x")


def test_a_local_name_may_be_a_state_again() -> None:
    @cell
    def shadows(x, h, /, W, R):
        h = relu(W @ x + R @ h)
        return h

    assert isinstance(shadows, Cell)
    assert shadows.outputs[0].op == "relu"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "cell: expected a function of one time step, got int"),
        ("Graves 2013", "cell: expected a function of one time step, got str; a citation is a keyword argument, cite="),
        (Cell, "cell: expected a function of one time step, got type"),
    ],
)
def test_anything_but_a_function_is_a_type_error(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        cell(value)  # pyright: ignore[reportCallIssue, reportArgumentType]
