from pathlib import Path

import pytest

from gatewise import cells
from gatewise.cells import lookup, names
from gatewise.equations import Cell, topological
from tests.transcriptions import TRANSCRIPTIONS


def test_every_file_of_the_package_is_a_cell() -> None:
    files = sorted(path.stem for path in Path(cells.__file__).parent.glob("[!_]*.py"))
    assert names() == tuple(files)
    assert len(names()) >= 10
    for name in names():
        assert lookup(name).name == name
        assert getattr(cells, name) is lookup(name)


def test_every_cell_has_a_transcription() -> None:
    assert sorted(TRANSCRIPTIONS) == list(names())


@pytest.mark.parametrize("name", names())
def test_every_cell_has_a_citation_a_summary_and_gate_roles(name: str) -> None:
    cell = lookup(name)
    assert isinstance(cell, Cell)
    assert len(cell.cite) > 10
    assert cell.documentation.summary.endswith(".")
    assert tuple(cell.documentation.gates) == cell.gates
    assert set(cell.documentation.related) <= set(names()) - {name}


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
    with pytest.raises(ValueError, match="unknown cell 'lsmt'; did you mean lstm\\? The cells are: gru_cho2014, "):
        lookup("lsmt")
    with pytest.raises(ValueError, match="unknown cell 'zzz'\\. The cells are: "):
        lookup("zzz")
    with pytest.raises(ValueError, match="did you mean gru_cho2014 or gru_chung2014 or gru_cudnn"):
        lookup("GRU")
