"""The page of a cell: its equations, the roles of its gates, its cost, its back-propagation, notes."""

from collections.abc import Sequence

from gatewise.cells import lookup, names
from gatewise.compiler.drop_bias import BIASES, without_bias
from gatewise.compiler.plan import plan
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, topological
from gatewise.equations.mathematics import equations
from gatewise.equations.notation import mask_symbol, symbols
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import REALS, Range
from gatewise.equations.style import UNICODE
from gatewise.explanations.backward_equations import BackwardEquations
from gatewise.explanations.counts import (
    columns_formula,
    elementwise_work,
    multiply_add_formula,
    parameter_count,
    parameter_formula,
)
from gatewise.explanations.norms import gradient_sentences, norm_sentences
from gatewise.explanations.page import Page

_MASKS = {
    "dropout": "drawn for each unit once per sequence: 0 with probability p, else 1/(1 − p); in evaluation it is 1",
    "zoneout": "drawn for each unit at every step: 0 with probability p, else 1; in evaluation it is 1 − p",
}
STORED = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih", "d": "bias_hh"}


def cell_page(cell: Cell, *, latex: bool, input_size: int, hidden_size: int) -> Page:
    """The page of one cell."""
    page = Page(latex)
    page.title(cell.name)
    page.say(*filter(None, (cell.documentation.summary, *cell.documentation.description)))
    if cell.cite:
        page.say(f"Published: {cell.cite}")
    add_equations(page, cell)
    _add_gates(page, cell)
    add_costs(page, cell, input_size=input_size, hidden_size=hidden_size)
    add_backward(page, cell)
    _add_notes(page, cell)
    return page


def add_equations(page: Page, cell: Cell, *, read_out: bool = True) -> None:
    """Add the equations of one step, the read-out, and the layout of the parameters."""
    page.section("One step")
    page.show(equations(cell, latex=page.latex))
    if read_out:
        page.state(("y_t", f"W_hy {cell.states[0]}_t + b_y"))
    gated = any(node.op == "sigmoid" for node in topological(cell.outputs))
    signs = "`⊙` multiplies unit by unit, `σ(a)` is `1/(1 + exp(−a))`; functions" if gated else "Functions"
    reading = ", `y_t` a read-out of the output (a layer of its own)" * read_out
    norms = norm_sentences(cell)
    signs += " without the name of a norm" if norms else ""
    page.say(f"`x_t` is the input, {_states(cell)}{reading}. {signs} act on each unit separately.", *norms)
    if cell.projected:
        narrow = [f"`{state}`" for state, width in zip(cell.states, cell.widths, strict=True) if width == "P"]
        page.say(f"{', '.join(narrow)} has the width P of the projection, all other values that of the state, H.")
    if cell.heads:
        divided = ", ".join(f"`{group}`" for group in cell.heads)
        page.say(
            f"{divided} is block-diagonal: each head, of H/heads units, is multiplied by a block of its own, "
            "`H/heads × H/heads`. A row has the weights of the units of its head; a layer has one head by default."
        )
    for mask in cell.masks:
        page.say(f"`{UNICODE.symbol(mask_symbol(mask))}` is a mask, {_MASKS[mask.kind]}.")
    parameters = symbols(cell).parameters
    rows: list[tuple[str, str, str]] = []
    for group in cell.groups:
        blocks = [symbol for block, symbol in parameters.items() if block.group == group]
        letters = ", ".join(f"`{UNICODE.symbol(symbol)}`" for symbol in blocks)
        height, columns = cell.sizes.rows[group], columns_formula(cell, group)
        shape = height if columns == "1" else f"`{height} × {columns}`"
        stored = "weight_hr" if group == "V" and cell.shape_of(group) == "projection" else STORED.get(group, group)
        rows.append((f"{stored}_l0", f"{len(blocks)} of {shape}", letters))
    page.table(("stored as", "blocks", "in this order"), rows)
    if cell.initial:
        values = [f"`{UNICODE.symbol(parameters[block])} = {UNICODE.number(value)}`" for block, value in cell.initial]
        page.say(f"Initially {', '.join(values)}.")


def _states(cell: Cell) -> str:
    first, *others = (f"`{state}_t`" for state in cell.states)
    return f"{first} the state and output" if not others else f"{first} the output, {', '.join(others)} further state"


def _add_gates(page: Page, cell: Cell) -> None:
    if not cell.gates:
        return
    page.section("What each gate is for")
    roles = cell.documentation.gates
    gates = symbols(cell).gates
    rows = [
        (
            f"`{UNICODE.symbol(gates[gate])}`",
            f"`{_range(cell.gate_value(gate))}`",
            roles.get(gate, "not documented (a section Gates: of the cell's docstring says it)"),
        )
        for gate in cell.gates
    ]
    page.table(("value", "range", "role"), rows)


def _range(value: Expr) -> Range:
    return OPERATIONS[value.op].range if value.op in OPERATIONS else REALS


def add_costs(page: Page, cell: Cell, *, input_size: int, hidden_size: int, directions: int = 1) -> None:
    """Add the number of parameters and the work per step, as formulas and numbers."""
    page.section("Size and work")
    made = plan(cell)
    projection = max(1, hidden_size // 2) if cell.projected else 0
    heads = 2 if cell.heads and hidden_size % 2 == 0 else 1
    parameters = directions * parameter_count(cell, input_size, hidden_size, projection, heads)
    products = directions * made.multiply_adds(input_size, hidden_size, projection, heads)
    sizes = f"I = {input_size}, H = {hidden_size}" + (f", P = {projection}" if projection else "")
    sizes += f", heads = {heads}" if cell.heads else ""
    page.table(
        ("per layer", "formula", f"for {sizes}"),
        [
            ("parameters", f"`{parameter_formula(cell, directions)}`", f"{parameters:,}"),
            ("multiply-adds per step", f"`{multiply_add_formula(made, directions)}`", f"{products:,}"),
        ],
    )
    direction = " and direction" if directions > 1 else ""
    page.say(
        "I is the width of the input, H that of the state. Multiply-adds are those of the matrix products, forward, "
        f"for one sequence; back-propagation takes twice as many. In addition a step computes, per unit{direction}, "
        f"{elementwise_work(made)}."
    )


def add_backward(page: Page, cell: Cell) -> None:
    """Add back-propagation through one step, derived from the cell's graph."""
    lines = BackwardEquations(cell, latex=page.latex)
    page.section("Back-propagation through one step")
    # Prose is written in Unicode, whatever the page is set in.
    arguments = [f"`{left} = {right}`" for left, right in BackwardEquations(cell).arguments]
    named = f" With `a` for the argument of an activation, {', '.join(arguments)}:" if arguments else ""
    page.say(
        "`δv` is `∂L/∂v`, the gradient of the whole loss; `ε` is the contribution of step t+1 to it, 0 at the "
        f"last step.{named}"
    )
    page.show(lines.inside)
    page.say("The gradients of the previous step's states, and of the input:")
    page.show(lines.leaving)
    page.say("All steps use the same parameters, so their gradients are sums over all steps (and sequences):")
    page.show(lines.parameters)
    page.say(*gradient_sentences(cell))
    if lines.brackets:
        page.say("`[condition]` is 1 where the condition holds, else 0.")


def _add_notes(page: Page, cell: Cell) -> None:
    """Add the notes of the docstring, and how the equations of related cells differ."""
    if cell.documentation.notes:
        page.section("Notes")
        page.say(*cell.documentation.notes)
    if _biases_only_add(cell):
        page.section("Why there are two biases")
        page.say(
            "Only their sum matters here. torch.nn keeps one for the input and one for the recurrence, because cuDNN "
            "does; the cell keeps both, so that weights can be exchanged by copying."
        )
    related = [lookup(name) for name in cell.documentation.related if name in names()]
    if related:
        _add_comparison(page, [cell, *related])


def _biases_only_add(cell: Cell) -> bool:
    """Whether the cell has two biases, each of which occurs only in a sum with the other."""
    if not all(group in cell.groups and cell.shape_of(group) == "vector" for group in BIASES):
        return False
    additions = [node for node in plan(cell).hoisted if node.op == "add"]
    return all(any(_adds_biases(node, gate) for node in additions) for gate in cell.gates_of(BIASES[0]))


def _adds_biases(node: Expr, gate: str | None) -> bool:
    return {arg.attr for arg in node.args} == {Parameter(group, gate) for group in BIASES}


def _add_comparison(page: Page, forms: Sequence[Cell]) -> None:
    """Add the equations in which some cells differ by more than their biases."""
    without = [{line.left: line.right for line in equations(_without_bias(form))} for form in forms]
    rows: list[tuple[str, str]] = []
    for form in forms:
        lines = [line for line in equations(form) if len({one.get(line.left) for one in without}) > 1]
        rows += [(form.name if index == 0 else "", f"`{line.left} = {line.right}`") for index, line in enumerate(lines)]
    page.section("Related cells")
    page.table(("cell", "equations that differ by more than biases"), rows)


def _without_bias(cell: Cell) -> Cell:
    try:
        return without_bias(cell)
    except ValueError:  # its b or d is more than a bias
        return cell
