"""A Sphinx directive: a step of a cell and its back-propagation, from the compiler's own graph."""

from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive

from gatewise import cells
from gatewise.equations.mathematics import Equation, equations
from gatewise.explanations.backward_equations import BackwardEquations
from gatewise.explanations.page import Page

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class BackPropagation(Directive):
    """``back-propagation``: the equations of the cells that are named, or of every built-in one."""

    has_content = True
    final_argument_whitespace = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """The nodes that replace the directive."""
        found: list[nodes.Node] = []
        for name in " ".join(self.content).split() or cells.names():
            cell = cells.lookup(name)
            backward = BackwardEquations(cell)
            found += [
                nodes.rubric("", "", nodes.literal(name, name), nodes.Text(f", {cell.cite}")),
                _block(equations(cell)),
                nodes.paragraph("", "Back through the step:"),
                _block([*backward.inside, *backward.leaving]),
                nodes.paragraph("", "Summed over time:"),
                _block(backward.parameters),
            ]
        return found


def _block(lines: list[Equation]) -> nodes.literal_block:
    page = Page(latex=False)
    page.show(lines)
    text = "\n".join(line.removeprefix("    ") for line in str(page).strip("\n").splitlines())
    return nodes.literal_block(text, text, language="none")


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("back-propagation", BackPropagation)
    return {"parallel_read_safe": True}
