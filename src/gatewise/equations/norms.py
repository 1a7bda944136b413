"""Norms over units, found in a cell's graph and made one node each, for printing: LN(v) rather than its definition.

The node is ``norm``, its operand the value; its payload is the name, with the gates in whose blocks together a joint
norm takes mean and variance: ``LN_ifgo``.
"""

from dataclasses import replace
from typing import NamedTuple

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, topological
from gatewise.equations.operations.reductions import gates_in, mean_of


class Norm(NamedTuple):
    """A normalised value: one of ``values``, over all of which it is normalised; ``centred``: less their mean."""

    value: Expr
    values: tuple[Expr, ...]
    centred: bool
    eps: float

    @property
    def name(self) -> str:
        """LN or RMSNorm; for several values with the gates of all of them."""
        word = "LN" if self.centred else "RMSNorm"
        if len(self.values) == 1:
            return word
        gates = [gates_in(value) for value in self.values]
        return f"{word}_{''.join(gate for (gate,) in gates) if all(len(one) == 1 for one in gates) else 'joint'}"


def norms_of(cell: Cell) -> list[Norm]:
    """The normalised values of a cell, those jointly normalised where all of them occur.

    >>> from gatewise.cells import lookup
    >>> sorted(norm.name for norm in norms_of(lookup("gru_layer_norm")))
    ['LN', 'LN', 'LN_rz', 'LN_rz', 'LN_rz', 'LN_rz']
    """
    return list(_norms(cell.outputs).values())


def with_norms(cell: Cell) -> Cell:
    """The cell with every normalised value as one node; for printing only."""
    known: dict[Expr, Expr] = {}
    norms = _norms(cell.outputs)

    for node in topological(cell.outputs, lambda node: (norms[node].value,) if node in norms else node.args):
        norm = norms.get(node)
        if norm is not None:
            known[node] = Expr.make("norm", known[norm.value], attr=norm.name)
        else:
            known[node] = Expr.make(node.op, *(known[arg] for arg in node.args)) if node.args else node
    return replace(cell, outputs=tuple(known[output] for output in cell.outputs))


def _norms(outputs: tuple[Expr, ...]) -> dict[Expr, Norm]:
    norms = {node: norm for node in topological(outputs) if (norm := norm_of(node)) is not None}
    # Expressions are compared by identity: == makes an equation.
    values = {node: tuple(map(id, norm.values)) for node, norm in norms.items()}
    found = {(values[node], id(norm.value)) for node, norm in norms.items()}
    return {node: norms[node] for node, key in values.items() if all((key, value) in found for value in key)}


def norm_of(node: Expr) -> Norm | None:
    """What a node normalises; None for a node that is no normalised value."""
    if node.op != "mul":
        return None
    numerator, scale = node.args
    deviation = deviation_of(scale)
    if deviation is None or not any(numerator is one for one in deviation.values):
        return None
    if numerator.op == "sub":
        value, centre = numerator.args
        values = mean_of(centre) or ()
        centred = [(one - centre, other) for one, other in zip(values, deviation.values, strict=False)]
        if len(values) == len(deviation.values) and all(one is other for one, other in centred):
            return Norm(value, values, True, deviation.eps)
    return Norm(numerator, deviation.values, False, deviation.eps)


def without_norms(outputs: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Outputs with every normalised value in place of its norm, and without the gains that multiply norms."""
    norms, known = _norms(outputs), dict[Expr, Expr]()
    for node in topological(outputs, lambda node: (norms[node].value,) if node in norms else node.args):
        scaled = next((arg for arg in node.args if arg in norms), None) if node.op == "mul" else None
        if node in norms:
            known[node] = known[norms[node].value]
        elif scaled is not None and any(arg.op == "parameter" for arg in node.args):
            known[node] = known[scaled]
        else:
            known[node] = Expr.make(node.op, *(known[arg] for arg in node.args)) if node.args else node
    return tuple(known[output] for output in outputs)


class Deviation(NamedTuple):
    """1 / √(mean(a²) + eps) of values a."""

    values: tuple[Expr, ...]
    eps: float


def deviation_of(node: Expr) -> Deviation | None:
    """The values whose root mean square is a node's denominator; None for any other node."""
    if not (node.op == "div" and node.args[0].attr == 1.0 and node.args[1].op == "sqrt"):
        return None
    total = node.args[1].args[0]
    if total.op != "add" or not isinstance(total.args[1].attr, float):
        return None
    squares = mean_of(total.args[0])
    if squares is None or not all(one.op == "mul" and one.args[0] is one.args[1] for one in squares):
        return None
    return Deviation(tuple(one.args[0] for one in squares), total.args[1].attr)
