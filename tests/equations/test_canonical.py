"""A cell as text, and back, through pickles and other processes."""

import copy
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.cells import lookup, names
from gatewise.equations import Cell, Expr, cell, tanh
from tests.combinations import examples
from tests.compiler.random_cells import cells

TEXT = lookup("gru_chung2014").text


def assert_same(actual: Cell, cell: Cell) -> None:
    assert actual == cell
    assert hash(actual) == hash(cell)
    assert (actual.states, actual.groups, actual.gates, actual.doc) == (cell.states, cell.groups, cell.gates, cell.doc)
    # Nodes are interned, so the same text gives the same nodes.
    assert all(new is old for new, old in zip(actual.outputs, cell.outputs, strict=True))


@pytest.mark.parametrize("name", names())
def test_round_trip(name: str) -> None:
    assert_same(Cell.from_text(lookup(name).text), lookup(name))


@settings(deadline=None, max_examples=examples(100))
@given(cells(reductions=True))
def test_round_trip_of_random_cells(cell: Cell) -> None:
    assert_same(Cell.from_text(cell.text), cell)
    assert_same(pickle.loads(pickle.dumps(cell)), cell)


@given(st.text(), st.text())
def test_any_citation_and_documentation(cite: str, doc: str) -> None:
    made = lookup("lstm")
    other = Cell(made.name, cite, doc, made.states, made.groups, made.gates, made.outputs)
    actual = Cell.from_text(other.text)
    assert (actual.cite, actual.doc) == (cite, doc)
    assert other.equations == made.equations


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_keeps_its_bits(value: float) -> None:
    @cell
    def scaled(x, h, /, W):
        return W @ x + h * value

    assert Cell.from_text(scaled.text).outputs[0] is scaled.outputs[0]


def test_a_local_function_pickles_and_copies() -> None:
    @cell
    def local(x, h, /, W):
        return tanh(W @ x) + h

    assert pickle.loads(pickle.dumps(local)) == local
    assert copy.deepcopy(local) is local
    assert copy.copy(local) is local
    assert local != lookup("lstm")
    assert local != "local"


def test_the_text_is_the_same_in_another_process() -> None:
    code = "from gatewise.cells import lookup; print(lookup('lstm').text, end='')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode() == lookup("lstm").text


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not the text of a cell"),
        (changed("gatewise cell 1", "gatewise cell 2"), "expected the first line 'gatewise cell 1'"),
        (changed('name "gru_chung2014"', "name gru_chung2014"), "text of a cell|Expecting"),
        (changed("states h", "state h"), "expected a line 'states'"),
        (changed("states h", "states h c"), "one value per state"),
        (changed("groups W R b", "groups W R b q"), "q is never used"),
        (changed("groups W R b", "groups W R"), "no group is named b"),
        (changed("gates r z n", "gates r z"), "lists the gates"),
        (changed("gates r z n", "gates r z n n"), "lists the gates"),
        (changed("= sigmoid", "= gradient"), "is not a node"),
        (changed("= sigmoid", "= matmul_transposed"), "is not a node"),
        (changed("= sigmoid", "= __import__"), "is not a node"),
        (changed("= input", "= state q"), "no state is named q"),
        (changed("constant 1.0", "constant inf"), "is not a node"),
        (changed("constant 1.0", "constant one"), "is not a node"),
        (changed("return %", "return %9"), "is not a node|truncated"),
        (TEXT[: TEXT.index("return")], "truncated"),
        (TEXT[: TEXT.index("states")], "truncated"),
        (TEXT + "%99 = input\n", "nothing may follow"),
        (TEXT.replace("= sigmoid %", "= sigmoid %1 %", 1), "takes 1 operands"),
    ],
)
def test_invalid_text_raises(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cell.from_text(text)


@settings(deadline=None, max_examples=examples(300))
@given(st.data())
def test_damaged_text_raises_value_error(data: st.DataObject) -> None:
    """A bit of damage gives another cell or a ValueError."""
    position = data.draw(st.integers(0, len(TEXT) - 1))
    length = data.draw(st.integers(0, 8))
    put = data.draw(st.text(alphabet="%=. \nWRbhxrzn019addmulwherematmul", max_size=6))
    try:
        actual = Cell.from_text(TEXT[:position] + put + TEXT[position + length :])
    except ValueError:
        return
    assert Cell.from_text(actual.text) == actual


def test_gradient_nodes_raise() -> None:
    made = lookup("rnn_tanh")
    broken = Cell("broken", "", "", ("h",), made.groups, (), (made.outputs[0] + Expr.make("gradient", attr="h"),))
    with pytest.raises(ValueError, match="is not a node"):
        Cell.from_text(broken.text)
