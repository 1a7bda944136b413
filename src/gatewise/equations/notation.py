"""The symbols that a textbook uses for the parts of a cell: W_xi, b_f, c_t, h_{t−1}."""

from dataclasses import dataclass, field

from gatewise.equations.cell import Cell
from gatewise.equations.expression import COMPARISONS, Expr, Mask, Parameter, topological
from gatewise.equations.operations import activation

PRESENT = "t"
PAST = "t−1"
MASK = "μ"
TILDE = "\u0303"  # combines with the letter before it


@dataclass(frozen=True)
class Symbol:
    """A letter with its decorations.

    Attributes:
        base: the letter or word.
        subscript: its parts, as ("x", "i") in W_xi.
        time: "t", "t−1", or "" for time-invariant symbols.
        mark: a prefix, as δ in δh_t.
        tilde: whether it has a tilde, to distinguish it from another symbol with this letter.
    """

    base: str
    subscript: tuple[str, ...] = ()
    time: str = ""
    mark: str = ""
    tilde: bool = False


@dataclass(frozen=True)
class Symbols:
    """The symbols of a cell.

    Attributes:
        parameters: by parameter block.
        past: of the states at t−1, by name.
        present: of the states at t, by name.
        gates: of the gates' values, by name.
        values: of every value that has its own equation, in the order of the equations.
    """

    parameters: dict[Parameter, Symbol]
    past: dict[str, Symbol]
    present: dict[str, Symbol]
    gates: dict[str, Symbol]
    values: dict[Expr, Symbol] = field(default_factory=dict)


def mask_symbol(mask: Mask) -> Symbol:
    """The symbol of a mask."""
    return Symbol(MASK, (mask.name,), PRESENT if mask.each_step else "")


def symbols(cell: Cell) -> Symbols:
    """The symbols of a cell.

    A matrix that multiplies x is W_x…, one that multiplies a state h is W_h…, followed by the gate, or by the output
    where the cell has no gates; two groups for the same product keep their own letters. Two biases are b_x… (of the
    input) and b_h… (of the recurrence), as in torch. Other vectors keep their letter. A gate with the name of a state
    or of x gets a tilde.
    """
    present = {state: Symbol(state, time=PRESENT) for state in cell.states}
    past = {state: Symbol(state, time=PAST) for state in cell.states}
    taken = {"x", *cell.states}
    gates = {gate: Symbol(gate, time=PRESENT, tilde=gate in taken) for gate in cell.gates}
    values: dict[Expr, Symbol] = {}
    for gate in cell.gates:
        values.setdefault(cell.gate_value(gate), gates[gate])
    for state, output in zip(cell.states, cell.outputs, strict=True):
        if output.args and (output not in values or values[output] not in present.values()):
            values[output] = present[state]
    gates = {gate: values[cell.gate_value(gate)] for gate in cell.gates}
    order = topological([*(cell.gate_value(gate) for gate in cell.gates), *cell.outputs])
    values |= _shared(order, values, {*taken, *cell.gates, *cell.groups})
    ordered = {node: values[node] for node in order if node in values}
    return Symbols(_parameters(cell), past, present, gates, ordered)


def _shared(order: list[Expr], named: dict[Expr, Symbol], taken: set[str]) -> dict[Expr, Symbol]:
    """Symbols for long expressions that are used more than once."""
    uses: dict[Expr, int] = {}
    length: dict[Expr, int] = {}
    for node in order:
        length[node] = 1 if node in named or not node.args else 1 + sum(length[arg] for arg in node.args)
        for arg in node.args:
            uses[arg] = uses.get(arg, 0) + 1
    long = [node for node in order if uses.get(node, 0) > 1 and length[node] > 3 and node.op not in COMPARISONS]
    nodes = [node for node in long if node not in named]
    letter = free_letter(taken)
    if len(nodes) == 1:
        return {nodes[0]: Symbol(letter, time=PRESENT)}
    return {node: Symbol(letter, (str(number),), PRESENT) for number, node in enumerate(nodes, start=1)}


def free_letter(taken: set[str]) -> str:
    """A letter for a value without a name in the equations."""
    return next((letter for letter in ("a", "u", "v", "q", "s") if letter not in taken), "value")


def _parameters(cell: Cell) -> dict[Parameter, Symbol]:
    source = {group: _source(cell, group) for group in cell.groups}
    sources = list(source.values())
    biases = [group for group in cell.groups if group in ("b", "d") and cell.shape_of(group) == "vector"]
    found: dict[Parameter, Symbol] = {}
    for group in cell.groups:
        for gate in cell.gates_of(group):
            target = gate or cell.states[0]
            if cell.shape_of(group) != "vector" and source[group] and sources.count(source[group]) == 1:
                symbol = Symbol("W", (source[group], target))
            elif group in biases:
                symbol = Symbol("b", (*(("x" if group == "b" else "h") * (len(biases) > 1)), target))
            else:
                symbol = Symbol(group, (gate,) if gate else ())
            found[Parameter(group, gate)] = symbol
    if len(set(found.values())) < len(found):
        return {block: Symbol(block.group, (block.gate,) if block.gate else ()) for block in found}
    return found


def _source(cell: Cell, group: str) -> str:
    """What the matrices of a group multiply: x or one state; empty for anything else."""
    state_of = dict(zip(cell.outputs, cell.states, strict=True))
    found: set[str] = set()
    for node in topological(cell.outputs):
        if node.op == "matmul" and isinstance(node.args[0].attr, Parameter) and node.args[0].attr.group == group:
            operand = node.args[1]
            found |= {state_of[operand]} if operand in state_of else _read(operand)
    return found.pop() if len(found) == 1 else ""


def _read(operand: Expr, *, inside: bool = False) -> set[str]:
    """The states in an operand; those inside an activation only where there are no others."""
    if operand.op == "input":
        return {"x"}
    found: set[str] = set()
    pending = [operand]
    while pending:
        node = pending.pop()
        if node.op == "state":
            found.add(str(node.attr))
        elif node.op != "matmul" and (inside or node is operand or activation(node) is None):
            pending.extend(node.args)
    return found or (set() if inside else _read(operand, inside=True))
