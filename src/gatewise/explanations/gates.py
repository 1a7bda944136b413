"""The page about gates: what a gate is, and the gates of the built-in cells with their equations."""

from gatewise.cells import lookup, names
from gatewise.equations.mathematics import equations
from gatewise.equations.notation import symbols
from gatewise.equations.style import LATEX, UNICODE
from gatewise.explanations.page import Page


def gates_page(*, latex: bool) -> Page:
    """The gates of the gated cells."""
    page = Page(latex)
    page.title("Gates")
    page.say(
        "A gate is a vector of numbers between 0 and 1, one per unit, computed at every step from the input and the "
        "state. It multiplies another vector elementwise: near 0 it is closed, near 1 open. Because it is `σ` of a "
        "trained sum, the network learns when to keep, write, forget and output. A candidate is not a gate but the "
        "value that gates admit; its activation is tanh."
    )
    style = LATEX if latex else UNICODE
    for name in names():
        cell = lookup(name)
        if not cell.gates:
            continue
        page.section(name)
        known = symbols(cell).gates
        own = {style.symbol(symbol) for symbol in known.values()}
        lines = equations(cell, latex=latex)
        page.show(line for line in lines if line.left in own)
        page.show(line for line in lines if line.left not in own)
        page.table(
            ("value", "role"),
            [(f"`{UNICODE.symbol(known[gate])}`", role) for gate, role in cell.documentation.gates.items()],
        )
    page.section("Reading gates")
    page.say(
        "A forget gate (or the fraction that an update gate keeps) with mean f keeps half of a value for "
        "`ln(2)/−ln(f)` steps: 0.9 for 7 steps, 0.99 for 69. Gates that stay near 0 or 1 whatever the input are "
        "saturated: `σ` is flat there, and they no longer learn."
    )
    return page
