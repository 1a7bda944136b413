"""Expressions printed as mathematics, in Unicode or LaTeX, with as few parentheses as it takes to be read correctly."""

from typing import NamedTuple

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr
from gatewise.equations.notation import PRESENT, Symbol, symbols
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import ATOM, CHOICE, MATRIX, PRODUCT, SUM, Notation
from gatewise.equations.style import LATEX, UNICODE, Style


class Written(NamedTuple):
    """A printed expression, and how tightly its outermost operation binds."""

    text: str
    binding: int


class Equation(NamedTuple):
    """One line: what is defined, and by what."""

    left: str
    right: str


class Writer:
    """Prints the expressions of a cell.

    Attributes:
        names: what stands for a node instead of its operation; more may be added.
    """

    def __init__(self, cell: Cell, style: Style):
        self.style = style
        self.symbols = symbols(cell)
        self.names: dict[Expr, Written] = {Expr.make("input"): self.symbol(Symbol("x", time=PRESENT))}
        for block, symbol in self.symbols.parameters.items():
            self.names[Expr.make("parameter", attr=block)] = self.symbol(symbol)
        for state, symbol in self.symbols.past.items():
            self.names[Expr.make("state", attr=state)] = self.symbol(symbol)
        for node, symbol in self.symbols.values.items():
            self.names[node] = self.symbol(symbol)

    def symbol(self, symbol: Symbol) -> Written:
        """A symbol, as something that binds like one."""
        return Written(self.style.symbol(symbol), ATOM)

    def write(self, node: Expr) -> str:
        """The node, by its name if it has one."""
        return self._written(node).text

    def define(self, node: Expr) -> str:
        """The operation of the node, even if it has a name."""
        return self._operation(node).text

    def applied(self, node: Expr, symbol: Symbol) -> str:
        """The operation of the node, with a symbol in place of its operand."""
        return self._named(node, dict.fromkeys(node.args, self.symbol(symbol))).text

    def at(self, node: Expr, binding: int) -> str:
        """The node, in parentheses if it binds less tightly than this."""
        return self.bind(self._written(node), binding)

    def bind(self, written: Written, binding: int) -> str:
        """What is written, in parentheses if it binds less tightly than this."""
        return written.text if written.binding >= binding else self.style.parentheses(written.text)

    def condition(self, node: Expr, opposite: bool = False) -> str:
        """A comparison, or its opposite."""
        comparison = OPERATIONS[OPERATIONS[node.op].opposite if opposite else node.op]
        assert isinstance(comparison.notation, Notation)
        left, right = (self.at(arg, SUM) for arg in node.args)
        return f"{left} {self.style.sign(comparison.notation)} {right}"

    def _written(self, node: Expr) -> Written:
        return self.names[node] if node in self.names else self._operation(node)

    def _operation(self, node: Expr) -> Written:
        style = self.style
        first, last = (node.args[0], node.args[-1]) if node.args else (node, node)
        match node.op:
            case "constant" if isinstance(node.attr, float):
                return Written(style.number(node.attr), SUM if node.attr < 0 else ATOM)
            case "gradient":
                return self.symbol(Symbol(str(node.attr), time=PRESENT, mark="ε"))
            case "add" if last.op == "neg" and last not in self.names:
                return Written(f"{self.at(first, SUM)} {style.minus} {self.at(last.args[0], PRODUCT)}", SUM)
            case "add":
                added = self.at(last, SUM)
                added = style.parentheses(added) if added.startswith(style.minus) else added
                return Written(f"{self.at(first, SUM)} + {added}", SUM)
            case "sub":
                return Written(f"{self.at(first, SUM)} {style.minus} {self.at(last, PRODUCT)}", SUM)
            case "neg":
                return Written(f"{style.minus}{self.at(first, PRODUCT)}", SUM)
            case "mul":
                return self._product(first, last)
            case "div":
                return self._quotient(first, last)
            case "matmul":
                return Written(f"{self.write(first)} {self.at(last, ATOM)}", MATRIX)
            case "matmul_transposed":
                return Written(f"{style.transposed(self.write(first))} {self.at(last, ATOM)}", MATRIX)
            case "where":
                return self._choice(node)
            case _:
                return self._function(node)

    def _named(self, node: Expr, names: dict[Expr, Written]) -> Written:
        """The operation of a node, with more names."""
        before = self.names
        self.names = before | names
        written = self._operation(node)
        self.names = before
        return written

    def _function(self, node: Expr) -> Written:
        operation = OPERATIONS[node.op]
        if operation.comparison:
            return Written(self.condition(node), CHOICE)
        notation = operation.notation
        if not isinstance(notation, Notation):
            assert notation is not None
            # What is printed instead may be a value of the cell, too, which has a name that is defined further on.
            operands = {Expr.make("operand", attr=str(at)): self._written(arg) for at, arg in enumerate(node.args)}
            return self._named(notation(*operands), operands)
        return Written(self.style.call(notation, *(self.write(arg) for arg in node.args)), notation.binding)

    def _factor(self, node: Expr) -> str:
        """A factor; a matrix product is set in parentheses, since ⊙ beside it would be read into it."""
        written = self._written(node)
        return self.style.parentheses(written.text) if written.binding in (CHOICE, SUM, MATRIX) else written.text

    def _product(self, first: Expr, last: Expr) -> Written:
        if first is last:
            notation = OPERATIONS[first.op].notation if first.op in OPERATIONS else None
            if isinstance(notation, Notation) and notation.squares and first not in self.names:
                return Written(self.style.call(notation, self.write(first.args[0]), squared=True), PRODUCT)
            return Written(self.style.squared(self.at(first, ATOM)), PRODUCT)
        number, other = (first, last) if first.op == "constant" else (last, first)
        if number.op == "constant":
            return Written(f"{self.at(number, PRODUCT)}{self.style.scaled}{self._factor(other)}", PRODUCT)
        return Written(f"{self._factor(first)} {self.style.times} {self._factor(last)}", PRODUCT)

    def _quotient(self, first: Expr, last: Expr) -> Written:
        if self.style.fractions:
            return Written(self.style.fraction(self.write(first), self.write(last)), PRODUCT)
        return Written(f"{self._factor(first)} / {self.at(last, ATOM)}", PRODUCT)

    def _choice(self, node: Expr) -> Written:
        condition, yes, no = node.args
        for kept, other, opposite in ((yes, no, False), (no, yes, True)):
            if other.op == "constant" and other.attr == 0:
                bracket = self.style.bracket(self.condition(condition, opposite))
                if kept.op == "constant" and kept.attr == 1:
                    return Written(bracket, PRODUCT)
                return Written(f"{self._factor(kept)} {self.style.times} {bracket}", PRODUCT)
        text = self.style.choice(self.at(yes, SUM), self.condition(condition), self.at(no, SUM))
        return Written(text, CHOICE)


def equations(cell: Cell, *, latex: bool = False) -> list[Equation]:
    """The equations of a cell as a textbook prints them.

    Arguments:
        cell: any cell, a user's too.
        latex: LaTeX instead of Unicode.

    Returns:
        An equation for every gate, for other values that are used more than once, and for every state at t, in an
        order in which they can be computed.

    >>> from gatewise.cells import lookup
    >>> for line in equations(lookup("gru_chung2014")):
    ...     print(line.left, "=", line.right)
    r_t = σ(W_xr x_t + W_hr h_{t−1} + b_r)
    z_t = σ(W_xz x_t + W_hz h_{t−1} + b_z)
    n_t = tanh(W_xn x_t + W_hn (r_t ⊙ h_{t−1}) + b_n)
    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ n_t
    """
    writer = Writer(cell, LATEX if latex else UNICODE)
    lines = [Equation(writer.write(node), writer.define(node)) for node in writer.symbols.values]
    defined = {line.left for line in lines}
    for state, output in zip(cell.states, cell.outputs, strict=True):
        left = writer.symbol(writer.symbols.present[state]).text
        if left not in defined:
            lines.append(Equation(left, writer.write(output)))
    return lines
