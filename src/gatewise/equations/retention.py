"""Retention gates, such as the forget gate of an LSTM: derived from a cell's equations."""

from dataclasses import dataclass
from functools import lru_cache

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter
from gatewise.equations.norms import without_norms
from gatewise.equations.operations import OPERATIONS

_LINEAR = frozenset({"add", "sub", "mul", "neg"})


@dataclass(frozen=True)
class RetentionGate:
    """A gate that scales how much of a state is kept.

    Attributes:
        name: name of the gate.
        sign: 1 where its value is the fraction of the state that is kept (a forget gate), −1 where it is the fraction
            that is replaced.
        input_gates: the gates that admit new values into the same state; empty where this gate does both.
    """

    name: str
    sign: int
    input_gates: tuple[str, ...]


@lru_cache(maxsize=256)
def retention_gates(cell: Cell) -> tuple[RetentionGate, ...]:
    """The gates that scale how much of each state is kept.

    With the other gates fixed, the derivative of the new state in the old one is the gate itself, or 1 minus the gate;
    or the gate is a logarithm, and the factor its exponential relative to others. Norms only rescale a state.

    >>> from gatewise.cells import lookup
    >>> retention_gates(lookup("lstm"))
    (RetentionGate(name='f', sign=1, input_gates=('i',)),)
    >>> retention_gates(lookup("gru_chung2014")), retention_gates(lookup("gru_cudnn"))
    ((RetentionGate(name='z', sign=-1, input_gates=()),), (RetentionGate(name='z', sign=1, input_gates=()),))
    >>> retention_gates(lookup("slstm"))
    (RetentionGate(name='f', sign=1, input_gates=()),)
    >>> retention_gates(lookup("rnn_tanh"))
    ()
    """
    plain = without_norms((*cell.outputs, *map(cell.gate_value, cell.gates)))
    outputs, named = plain[: len(cell.states)], dict(zip(cell.gates, plain[len(cell.states) :], strict=True))
    gates = {name: node for name, node in named.items() if node.op in OPERATIONS and OPERATIONS[node.op].gating}
    found: dict[str, RetentionGate] = {}
    logarithms = {name: node for name, node in named.items() if node.op == "log_sigmoid"}
    for name, output in zip(cell.states, outputs, strict=True):
        state = Expr.make("state", attr=name)
        for gate, node in logarithms.items():
            if any(_adds(exponent, node) for exponent in _exponents(output, state)):
                found[gate] = RetentionGate(gate, 1, ())
        scaling = [gate for gate, node in gates.items() if _acts_on(output, node)]
        for gate in scaling:
            slopes = [
                [
                    _slope(output, state, {**dict.fromkeys(gates.values(), others), gates[gate]: own})
                    for own in (0.0, 1.0)
                ]
                for others in (0.0, 1.0)
            ]
            for sign, ends in ((1, [0.0, 1.0]), (-1, [1.0, 0.0])):
                if slopes == [ends, ends]:
                    found[gate] = RetentionGate(gate, sign, tuple(other for other in scaling if other != gate))
    return tuple(found.values())


def check_retention_biases(cell: Cell, option: str) -> None:
    """Raise a ValueError if an option sets biases of retention gates and a cell has none."""
    gates = retention_gates(cell)
    if not gates:
        raise ValueError(
            f"{option}: the cell {cell.name} has no gate that keeps a state (forget or update gate); use an LSTM or GRU"
        )
    if not all(biases_of(cell, gate.name) for gate in gates):
        names = " and ".join(f"b.{gate.name}" for gate in gates)
        raise ValueError(f"{option}: the cell {cell.name} has no bias {names} to set; give it one, or leave bias=True")


@lru_cache(maxsize=256)
def biases_of(cell: Cell, gate: str) -> tuple[Parameter, ...]:
    """The vectors added to what a gate is the activation of, the group ``b`` first.

    >>> from gatewise.cells import lookup
    >>> [str(block) for block in biases_of(lookup("gru_layer_norm"), "z")]
    ['shift_h.z', 'shift_x.z']
    """
    vectors, pending = list[Parameter](), [*cell.gate_value(gate).args[:1]]
    while pending:
        node = pending.pop(0)
        if node.op == "add":
            pending += node.args
        elif isinstance(node.attr, Parameter):
            vectors.append(node.attr)
    return tuple(sorted(vectors, key=lambda block: block.group != "b"))


def _exponents(node: Expr, state: Expr) -> list[Expr]:
    """The arguments of the exponentials that multiply a state."""
    if node.op == "mul" and any(arg is state for arg in node.args):
        return [arg.args[0] for arg in node.args if arg.op == "exp"]
    return [one for arg in node.args if node.op in ("add", "where") for one in _exponents(arg, state)]


def _adds(node: Expr, term: Expr) -> bool:
    """Whether a term is added in an expression, or in one of its cases."""
    if node is term:
        return True
    args = {"add": node.args, "sub": node.args[:1], "where": node.args[1:]}.get(node.op, ())
    return any(_adds(arg, term) for arg in args)


def _acts_on(node: Expr, gate: Expr) -> bool:
    """Whether a gate scales a term of an expression, outside any activation."""
    return node is gate or (node.op in _LINEAR and any(_acts_on(arg, gate) for arg in node.args))


def _slope(node: Expr, state: Expr, gates: dict[Expr, float]) -> float | None:
    """The derivative of a node in a state, through neither activations nor matrix products, with the gates fixed.

    None where the derivative depends on more than the gates.
    """
    if node is state:
        return 1.0
    if node in gates or node.op not in _LINEAR:
        return 0.0
    slopes = [_slope(arg, state, gates) for arg in node.args]
    match node.op, slopes:
        case "neg", [float(a)]:
            return -a
        case "add", [float(a), float(b)]:
            return a + b
        case "sub", [float(a), float(b)]:
            return a - b
        case "mul", [float(a), float(b)]:
            left, right = (_value(arg, gates) for arg in node.args)
            of_left = 0.0 if a == 0 else None if right is None else a * right
            of_right = 0.0 if b == 0 else None if left is None else b * left
            return None if of_left is None or of_right is None else of_left + of_right
        case _:
            return None


def _value(node: Expr, gates: dict[Expr, float]) -> float | None:
    """The value of an expression of gates and constants only; None for any other."""
    if node in gates:
        return gates[node]
    if isinstance(node.attr, float):
        return node.attr
    values = [_value(arg, gates) for arg in node.args]
    match node.op, values:
        case "neg", [float(a)]:
            return -a
        case "add", [float(a), float(b)]:
            return a + b
        case "sub", [float(a), float(b)]:
            return a - b
        case "mul", [float(a), float(b)]:
            return a * b
        case _:
            return None
