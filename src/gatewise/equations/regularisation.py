"""A cell with masks added by rule: recurrent dropout, variational dropout, zoneout."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Mask, constant, topological
from gatewise.equations.masks import dropout, zoneout
from gatewise.equations.operations import OPERATIONS, activation

CANDIDATE, VARIATIONAL, ZONEOUT = "candidate", "variational", "zoneout_"
"""The names of the masks: of the candidate, of the output state, and the prefix of a state's name."""


def with_recurrent_dropout(cell: Cell) -> Cell:
    """The cell with dropout of its candidate, so that no memory is lost (Semeniuta et al. 2016, arXiv:1603.05118).

    The candidates are the gates whose activation does not lie between 0 and 1, as the tanh of an LSTM or GRU.

    Raises:
        ValueError: when the cell has none.

    >>> from gatewise.cells import lookup
    >>> from gatewise.equations.mathematics import equations
    >>> [line.right for line in equations(with_recurrent_dropout(lookup("gru_cho2014"))) if line.left == "h_t"]
    ['z_t ⊙ h_{t−1} + (1 − z_t) ⊙ n_t ⊙ μ_candidate']
    """
    values = [cell.gate_value(gate) for gate in cell.gates]
    candidates = {value for value in values if activation(value) and not OPERATIONS[value.op].gating}
    gated = any(OPERATIONS[value.op].gating for value in values if value.op in OPERATIONS)
    if not gated or not candidates:
        raise ValueError(
            f"recurrent_dropout: the cell {cell.name} has no candidate beside a gate, whose dropout would leave the "
            "state as it is; use variational="
        )

    def rule(node: Expr, made: Expr) -> Expr:
        return dropout(made, CANDIDATE) if node in candidates else made

    return _rewritten(cell, rule)


def with_variational_dropout(cell: Cell) -> Cell:
    """The cell with dropout of the old output in every product, the same at all steps.

    This is that of Gal & Ghahramani 2016 (arXiv:1512.05287), with one mask for all gates. Where the old output
    is kept rather than multiplied by a matrix, as in a GRU, it is whole.

    Raises:
        ValueError: when no product reads the old output.

    >>> from gatewise.cells import lookup
    >>> from gatewise.equations.mathematics import equations
    >>> equations(with_variational_dropout(lookup("rnn_tanh")))[0].right
    'tanh(W_xh x_t + b_xh + W_hh (h_{t−1} ⊙ μ_variational) + b_hh)'
    """
    output = Expr.make("state", attr=cell.states[0])
    masked: dict[Expr, Expr] = {output: dropout(output, VARIATIONAL)}

    def operand(node: Expr, known: dict[Expr, Expr]) -> Expr:
        """What a product reads, with the old output masked up to the next activation or product."""
        if node not in masked:
            plain = not node.args or node.op == "matmul" or activation(node) is not None
            args = () if plain else tuple(operand(arg, known) for arg in node.args)
            masked[node] = known[node] if plain else Expr.make(node.op, *args)
        return masked[node]

    known: dict[Expr, Expr] = {}
    for node in topological(cell.outputs):
        if node.op == "matmul" and node.args[1].op != "input":
            known[node] = Expr.make("matmul", node.args[0], operand(node.args[1], known))
        else:
            known[node] = Expr.make(node.op, *(known[arg] for arg in node.args)) if node.args else node
    changed = _with_outputs(cell, tuple(known[output] for output in cell.outputs))
    if not changed.masks:
        raise ValueError(f"variational: no product of the cell {cell.name} reads the old output {cell.states[0]}")
    return changed


def with_zoneout(cell: Cell) -> Cell:
    """The cell whose states keep some units of their old values (Krueger et al. 2017, arXiv:1606.01305).

    The output is computed from the whole new cell state, before units of that are kept. The states after the first
    belong together, as cell state, normaliser and stabiliser of an sLSTM, so that a unit keeps all of them or none.

    >>> from gatewise.cells import lookup
    >>> from gatewise.equations.mathematics import equations
    >>> for line in equations(with_zoneout(lookup("lstm")))[-2:]:
    ...     print(line.left, "=", line.right)
    h_t = μ_zoneout_h,t ⊙ o_t ⊙ tanh(a_t) + (1 − μ_zoneout_h,t) ⊙ h_{t−1}
    c_t = μ_zoneout_c,t ⊙ a_t + (1 − μ_zoneout_c,t) ⊙ c_{t−1}
    """
    pairs = zip(cell.states, zoneout_masks(cell), cell.outputs, strict=True)
    return _with_outputs(cell, tuple(zoneout(new, Expr.make("state", attr=name), mask) for name, mask, new in pairs))


def zoneout_masks(cell: Cell) -> tuple[str, ...]:
    """The name of the mask of each state; those after the first share one.

    >>> from gatewise.cells import lookup
    >>> zoneout_masks(lookup("slstm"))
    ('zoneout_h', 'zoneout_c', 'zoneout_c', 'zoneout_c')
    """
    return tuple(f"{ZONEOUT}{cell.states[min(index, 1)]}" for index in range(len(cell.states)))


def with_constant_masks(cell: Cell, factors: Mapping[Mask, float]) -> Cell:
    """The cell with a number in place of each mask, as in evaluation."""
    return _rewritten(cell, lambda node, made: constant(factors[node.attr]) if isinstance(node.attr, Mask) else made)


def _rewritten(cell: Cell, rule: Callable[[Expr, Expr], Expr]) -> Cell:
    known: dict[Expr, Expr] = {}
    for node in topological(cell.outputs):
        args = [known[arg] for arg in node.args]
        known[node] = rule(node, Expr.make(node.op, *args) if args else node)
    return _with_outputs(cell, tuple(known[output] for output in cell.outputs))


def _with_outputs(cell: Cell, outputs: tuple[Expr, ...]) -> Cell:
    return replace(cell, outputs=outputs)
