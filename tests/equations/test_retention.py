"""Which gates keep a state, however the equations are written."""

import pytest

from gatewise.cells import lookup, names
from gatewise.equations import Cell, cell, sigmoid, tanh, where
from gatewise.equations.retention import RetentionGate, check_retention_biases, retention_gates


@cell
def towards(x, h, /, W, R, b):
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    return h + z * (tanh(W.n @ x + R.n @ h + b.n) - h)


@cell
def minimal_gated_unit(x, h, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return -(f - 1) * h + f * tanh(W.n @ x + R.n @ (f * h) + b.n)


@cell
def coupled(x, h, c, /, W, R, b):
    k = sigmoid(W.k @ x + R.k @ h + b.k)
    o = sigmoid(W.o @ x + R.o @ h + b.o)
    c = k * c + (1 - k) * tanh(W.g @ x + R.g @ h + b.g)
    return o * tanh(c), c


@cell
def squashed(x, h, /, W, R, b):
    """The state itself passes through no gate."""
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return f * tanh(h) + (1 - f) * tanh(W.n @ x + b.n)


@cell
def halved(x, h, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return where(f > 0.5, h, 0.0) + 0.5 * f * h + tanh(W.n @ x + b.n)


@cell
def two(x, h, c, /, W, R, b):
    """Two gates in a row keep c: neither does alone."""
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    k = sigmoid(W.k @ x + R.k @ h + b.k)
    c = f * k * c + tanh(W.g @ x + b.g)
    return tanh(c), c


FORGET = RetentionGate("f", 1, ("i",))
EXPECTED: dict[str, tuple[RetentionGate, ...]] = {
    "lstm": (FORGET,),
    "lstm_layer_norm": (FORGET,),
    "lstm_layer_norm_per_gate": (FORGET,),
    "slstm": (RetentionGate("f", 1, ()),),
    "gru_layer_norm": (RetentionGate("z", -1, ()),),
    "lstm_projected": (FORGET,),
    "lstm_projected_sak2014": (FORGET,),
    "peephole_lstm": (FORGET,),
    "peephole_lstm_full": (FORGET,),
    "gru_cudnn": (RetentionGate("z", 1, ()),),
    "gru_cho2014": (RetentionGate("z", 1, ()),),
    "gru_chung2014": (RetentionGate("z", -1, ()),),
}


@pytest.mark.parametrize("name", names())
def test_built_in_cells(name: str):
    assert retention_gates(lookup(name)) == EXPECTED.get(name, ())


@pytest.mark.parametrize(
    ("defined", "expected"),
    [
        (towards, (RetentionGate("z", -1, ()),)),
        (minimal_gated_unit, (RetentionGate("f", -1, ()),)),
        (coupled, (RetentionGate("k", 1, ()),)),
        (squashed, ()),
        (halved, ()),
        (two, ()),
    ],
    ids=lambda one: one.name if isinstance(one, Cell) else "",
)
def test_other_cells(defined: Cell, expected: tuple[RetentionGate, ...]):
    assert retention_gates(defined) == expected


def test_cells_without_a_retention_gate_or_its_bias_raise():
    check_retention_biases(coupled, "forget_bias")
    with pytest.raises(ValueError, match="forget_bias: the cell rnn_tanh has no gate that keeps a state"):
        check_retention_biases(lookup("rnn_tanh"), "forget_bias")

    @cell
    def without(x, h, /, W, R):
        z = sigmoid(W.z @ x + R.z @ h)
        return (1 - z) * h + z * tanh(W.n @ x)

    with pytest.raises(ValueError, match=r"chrono: the cell without has no bias b\.z to set"):
        check_retention_biases(without, "chrono")
