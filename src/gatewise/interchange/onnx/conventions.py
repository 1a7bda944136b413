"""What ONNX's recurrent operators are beside ours: their gates in stored order, their states, the cells they compute.

Both directions of the exchange read this table. The order of ours is a cell's own (`Cell.gates_of`).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Direction: TypeAlias = Literal["forward", "reverse", "bidirectional"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("forward", "reverse", "bidirectional")


@dataclass(frozen=True)
class Operator:
    """One of ONNX's recurrent operators.

    Attributes:
        name: as in ``op_type``.
        gates: our names of the blocks of W, R and of both halves of B, in ONNX's order; a cell without gates has one
            block named None.
        peepholes: likewise of P.
        states: our names of the states, whose initial values are the inputs ``initial_h`` and ``initial_c``.
        activations: names of the default activations of one direction.
        inputs: names of its inputs, in order.
        attributes: names of its attributes.
    """

    name: str
    gates: tuple[str | None, ...]
    peepholes: tuple[str, ...]
    states: tuple[str, ...]
    activations: tuple[str, ...]
    inputs: tuple[str, ...]
    attributes: frozenset[str]


_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")
# Version 1 has output_sequence, which says whether the output Y is wanted; no values depend on it.
_ATTRIBUTES = frozenset(
    {
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
        "output_sequence",
    }
)

OPERATORS: Final = {
    operator.name: operator
    for operator in (
        Operator("RNN", (None,), (), ("h",), ("Tanh",), _INPUTS, _ATTRIBUTES),
        Operator(
            "GRU", ("z", "r", "n"), (), ("h",), ("Sigmoid", "Tanh"), _INPUTS, _ATTRIBUTES | {"linear_before_reset"}
        ),
        Operator(
            "LSTM",
            ("i", "o", "f", "g"),
            ("i", "o", "f"),
            ("h", "c"),
            ("Sigmoid", "Tanh", "Tanh"),
            (*_INPUTS, "initial_c", "P"),
            _ATTRIBUTES | {"input_forget"},
        ),
    )
}


@dataclass(frozen=True)
class Form:
    """The form of an operator, as far as a built-in cell can have it.

    Attributes:
        operator: its name.
        activations: of one direction, by name.
        peepholes: whether P is given.
        linear_before_reset: whether r acts after the product.
    """

    operator: str
    activations: tuple[str, ...]
    peepholes: bool = False
    linear_before_reset: bool = False


BUILT_IN: Final = {
    "rnn_tanh": Form("RNN", ("Tanh",)),
    "rnn_relu": Form("RNN", ("Relu",)),
    "rnn_sigmoid": Form("RNN", ("Sigmoid",)),
    "rnn_leaky_relu": Form("RNN", ("LeakyRelu",)),  # with alpha 0.01, its default
    "gru_cho2014": Form("GRU", ("Sigmoid", "Tanh")),
    "gru_cudnn": Form("GRU", ("Sigmoid", "Tanh"), linear_before_reset=True),
    "lstm": Form("LSTM", ("Sigmoid", "Tanh", "Tanh")),
    "peephole_lstm": Form("LSTM", ("Sigmoid", "Tanh", "Tanh"), peepholes=True),
}
"""The built-in cells that a node computes with default alpha and beta, without clip and coupled gates.

gru_chung2014 is gru_cho2014 with the rows of z negated.
"""
CELL_OF: Final = {form: name for name, form in BUILT_IN.items()}
