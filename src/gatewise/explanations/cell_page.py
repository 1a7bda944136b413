"""The page of a cell: its equations, what its gates are for, what it costs, and its back-propagation."""

from collections.abc import Callable

from gatewise.compiler.plan import plan
from gatewise.equations.cell import Cell
from gatewise.equations.mathematics import LATEX, UNICODE, Writer, equations
from gatewise.explanations.backward import BackwardEquations
from gatewise.explanations.counts import elementwise_work, multiply_add_formula, parameter_count, parameter_formula
from gatewise.explanations.page import Page
from gatewise.explanations.purposes import PURPOSES, RANGES
from gatewise.explanations.remarks import REMARKS

STORED = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih", "d": "bias_hh"}


def cell_page(cell: Cell, *, latex: bool, input_size: int, hidden_size: int) -> Page:
    """Everything about one cell."""
    page = Page(latex)
    page.title(cell.name)
    if cell.doc:
        page.say(cell.doc)
    if cell.cite:
        page.say(f"Published: {cell.cite}")
    add_equations(page, cell)
    _add_gates(page, cell)
    add_costs(page, cell, input_size=input_size, hidden_size=hidden_size)
    add_backward(page, cell)
    remark: Callable[[Page], None] | None = REMARKS.get(cell.name)
    if remark is not None:
        remark(page)
    return page


def add_equations(page: Page, cell: Cell) -> None:
    """The equations of one step, with the read-out, and where the parameters are stored."""
    page.section("One step")
    page.show(equations(cell, latex=page.latex))
    page.state(("y_t", f"W_hy {cell.states[0]}_t + b_y"))
    page.say(
        f"`x_t` is the input, {_states(cell)}, `y_t` a read-out of the output (a layer of its own). `⊙` multiplies unit "
        "by unit, `σ(a)` is 1/(1 + exp(−a)); functions act on every unit by itself."
        if any(node.op == "sigmoid" for node in _nodes(cell))
        else f"`x_t` is the input, {_states(cell)}, `y_t` a read-out of the output (a layer of its own). Functions act "
        "on every unit by itself."
    )
    writer = Writer(cell, LATEX if page.latex else UNICODE)
    rows: list[tuple[str, str, str]] = []
    for group in cell.groups:
        blocks = [(block, symbol) for block, symbol in writer.symbols.parameters.items() if block.group == group]
        letters = ", ".join(f"`{UNICODE.symbol(symbol)}`" for _, symbol in blocks)
        shape = {"input": "H × I", "recurrent": "H × H", "vector": "H"}[cell.shape_of(group)]
        rows.append((f"{STORED.get(group, group)}_l0", f"{len(blocks)} of {shape}", letters))
    page.table(("stored as", "blocks", "holding, in this order"), rows)


def _states(cell: Cell) -> str:
    first, *others = (f"`{state}_t`" for state in cell.states)
    return f"{first} the state and output" if not others else f"{first} the output, {', '.join(others)} further state"


def _nodes(cell: Cell) -> list:
    from gatewise.equations.expression import topological

    return topological(cell.outputs)


def _add_gates(page: Page, cell: Cell) -> None:
    if not cell.gates:
        return
    page.section("What each gate is for")
    purposes = PURPOSES.get(cell.name, {})
    writer = Writer(cell, UNICODE)
    rows = [
        (
            f"`{UNICODE.symbol(writer.symbols.gates[gate])}`",
            f"`{RANGES.get(cell.gate_value(gate).op, '(−∞, ∞)')}`",
            purposes.get(gate, "named by the cell's author"),
        )
        for gate in cell.gates
    ]
    page.table(("value", "range", "purpose"), rows)


def add_costs(page: Page, cell: Cell, *, input_size: int, hidden_size: int, directions: int = 1) -> None:
    """Parameters and work per step, as formulas and numbers."""
    page.section("Size and work")
    made = plan(cell)
    times = f"{directions}·" if directions > 1 else ""

    def grouped(formula: str) -> str:
        return f"{times}({formula})" if times and " + " in formula.split("(")[0] + formula.split(")")[-1] else times + formula

    parameters = directions * parameter_count(cell, input_size, hidden_size)
    products = directions * made.multiply_adds(input_size, hidden_size)
    page.table(
        ("per layer", "formula", f"for I = {input_size}, H = {hidden_size}"),
        [
            ("parameters", f"`{grouped(parameter_formula(cell))}`", f"{parameters:,}"),
            ("multiply-adds per step", f"`{grouped(multiply_add_formula(made))}`", f"{products:,}"),
        ],
    )
    page.say(
        "I is the width of the input, H that of the state. Multiply-adds are those of the matrix products, forward, for "
        f"one sequence; back-propagation takes twice as many. Beside them a step computes per unit{' and direction' * (directions > 1)} "
        f"{elementwise_work(cell)}."
    )


def add_backward(page: Page, cell: Cell) -> None:
    """Back-propagation through one step, as derived from the cell's graph."""
    lines = BackwardEquations(cell, latex=page.latex)
    page.section("Back-propagation through one step")
    named = "; `a` with the letter of a gate is the argument of its activation" if len(lines.arguments) > 1 else ""
    named = named or ("; `a_t` is the argument of the activation" if lines.arguments else "")
    page.say(
        f"`δv` is `∂L/∂v`, the gradient of the whole loss; `ε` is the part of it that step t+1 sends back, 0 at the "
        f"last step{named}."
    )
    page.show([*lines.arguments, *lines.inside] if len(lines.arguments) < 2 else [lines.arguments[0], *lines.inside])
    page.say("The step sends to the step before it, and to its input:")
    page.show(lines.leaving)
    page.say("Every step used the same parameters, so their gradients are sums over all steps (and sequences):")
    page.show(lines.parameters)
    if lines.brackets:
        page.say("`[condition]` is 1 where the condition holds, else 0.")
