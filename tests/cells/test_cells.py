import pytest

from gatewise import cells
from gatewise.cells import lookup, names
from gatewise.equations import Cell, topological


def test_names_and_lookup_agree() -> None:
    assert names() == (
        "rnn_tanh",
        "rnn_relu",
        "rnn_sigmoid",
        "rnn_leaky_relu",
        "lstm",
        "gru_cudnn",
        "gru_chung2014",
        "gru_cho2014",
        "peephole_lstm",
        "peephole_lstm_full",
    )
    for name in names():
        assert lookup(name).name == name
        assert getattr(cells, name) is lookup(name)


@pytest.mark.parametrize("name", names())
def test_every_cell_says_where_it_is_published_and_what_it_is(name: str) -> None:
    cell = lookup(name)
    assert isinstance(cell, Cell)
    assert len(cell.cite) > 10
    assert cell.doc.endswith(".")


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("rnn_tanh", ()),
        ("lstm", ("i", "f", "g", "o")),
        ("gru_cudnn", ("r", "z", "n")),
        ("gru_chung2014", ("r", "z", "n")),
        ("gru_cho2014", ("r", "z", "n")),
        ("peephole_lstm", ("i", "f", "g", "o")),
        ("peephole_lstm_full", ("i", "f", "g", "o")),
    ],
)
def test_gates_are_in_torchs_order(name: str, gates: tuple[str, ...]) -> None:
    cell = lookup(name)
    assert cell.gates == gates
    for gate in gates:
        assert cell.gate_value(gate).op == ("tanh" if gate in "gn" else "sigmoid")


@pytest.mark.parametrize(
    ("name", "group", "shape"),
    [
        ("rnn_tanh", "W", (5, 3)),
        ("lstm", "d", (20,)),
        ("gru_cudnn", "R", (15, 5)),
        ("peephole_lstm", "p", (15,)),
        ("peephole_lstm_full", "P", (15, 5)),
    ],
)
def test_shapes(name: str, group: str, shape: tuple[int, ...]) -> None:
    assert lookup(name).parameter_shape(group, 3, 5) == shape


def test_the_output_gate_sees_the_new_cell_state() -> None:
    for name in ("peephole_lstm", "peephole_lstm_full"):
        cell = lookup(name)
        assert cell.outputs[1] in set(topological([cell.gate_value("o")]))
        for gate in ("i", "f"):
            assert cell.outputs[1] not in set(topological([cell.gate_value(gate)]))


def test_unknown_cell() -> None:
    with pytest.raises(ValueError, match="unknown cell 'lsmt'; did you mean lstm\\? The cells are: rnn_tanh, "):
        lookup("lsmt")
    with pytest.raises(ValueError, match="unknown cell 'zzz'; The cells are: "):
        lookup("zzz")
