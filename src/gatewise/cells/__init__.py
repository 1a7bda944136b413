"""The built-in cells, one file each: where they are published, and their equations."""

import difflib

from gatewise.cells.gru_cho2014 import gru_cho2014
from gatewise.cells.gru_chung2014 import gru_chung2014
from gatewise.cells.gru_cudnn import gru_cudnn
from gatewise.cells.lstm import lstm
from gatewise.cells.peephole_lstm import peephole_lstm
from gatewise.cells.peephole_lstm_full import peephole_lstm_full
from gatewise.cells.rnn_leaky_relu import rnn_leaky_relu
from gatewise.cells.rnn_relu import rnn_relu
from gatewise.cells.rnn_sigmoid import rnn_sigmoid
from gatewise.cells.rnn_tanh import rnn_tanh
from gatewise.equations import Cell

_BUILT_IN = {
    built_in.name: built_in
    for built_in in (
        rnn_tanh,
        rnn_relu,
        rnn_sigmoid,
        rnn_leaky_relu,
        lstm,
        gru_cudnn,
        gru_chung2014,
        gru_cho2014,
        peephole_lstm,
        peephole_lstm_full,
    )
}


def names() -> tuple[str, ...]:
    """The names of the built-in cells."""
    return tuple(_BUILT_IN)


def lookup(name: str) -> Cell:
    """The built-in cell of this name.

    Raises:
        ValueError: for an unknown name, with the known ones.

    >>> lookup("gru_chung2014").gates
    ('r', 'z', 'n')
    """
    if name not in _BUILT_IN:
        near = difflib.get_close_matches(name, _BUILT_IN, n=1)
        meant = f"; did you mean {near[0]}?" if near else ";"
        raise ValueError(f"unknown cell {name!r}{meant} The cells are: {', '.join(_BUILT_IN)}")
    return _BUILT_IN[name]


__all__ = [
    "gru_cho2014",
    "gru_chung2014",
    "gru_cudnn",
    "lookup",
    "lstm",
    "names",
    "peephole_lstm",
    "peephole_lstm_full",
    "rnn_leaky_relu",
    "rnn_relu",
    "rnn_sigmoid",
    "rnn_tanh",
]
