"""A printer of expressions as mathematics, in Unicode or LaTeX, with the fewest parentheses that are unambiguous."""

from typing import NamedTuple

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr
from gatewise.equations.norms import with_norms
from gatewise.equations.notation import PRESENT, Symbol, mask_symbol, symbols
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import ATOM, CHOICE, MATRIX, PRODUCT, SUM, Notation
from gatewise.equations.operations.reductions import mean_of
from gatewise.equations.style import LATEX, UNICODE, Style


class Printed(NamedTuple):
    """A printed expression, and how tightly its outermost operation binds."""

    text: str
    binding: int


class Equation(NamedTuple):
    """One line: a symbol and its definition."""

    left: str
    right: str


class Printer:
    """Prints the expressions of a cell.

    Attributes:
        names: text printed for a node in place of its operation; callers may add entries.
    """

    def __init__(self, cell: Cell, style: Style):
        self.style = style
        self.symbols = symbols(cell)
        self.names: dict[Expr, Printed] = {Expr.make("input"): self.symbol(Symbol("x", time=PRESENT))}
        for block, symbol in self.symbols.parameters.items():
            self.names[Expr.make("parameter", attr=block)] = self.symbol(symbol)
        for state, symbol in self.symbols.past.items():
            self.names[Expr.make("state", attr=state)] = self.symbol(symbol)
        for mask in cell.masks:
            self.names[Expr.make("mask", attr=mask)] = self.symbol(mask_symbol(mask))
        for node, symbol in self.symbols.values.items():
            self.names[node] = self.symbol(symbol)

    def symbol(self, symbol: Symbol) -> Printed:
        """A printed symbol, which binds as an atom."""
        return Printed(self.style.symbol(symbol), ATOM)

    def write(self, node: Expr) -> str:
        """The node, by its name if it has one."""
        return self._printed(node).text

    def define(self, node: Expr) -> str:
        """The operation of the node, even if the node has a name."""
        return self._operation(node).text

    def applied(self, node: Expr, symbol: Symbol) -> str:
        """The operation of the node, with a symbol in place of its operand."""
        return self._named(node, dict.fromkeys(node.args, self.symbol(symbol))).text

    def operand(self, node: Expr, binding: int) -> str:
        """The node as an operand: in parentheses if it binds less tightly than this."""
        return self.parenthesise(self._printed(node), binding)

    def parenthesise(self, printed: Printed, binding: int) -> str:
        """The printed text, in parentheses if it binds less tightly than this."""
        return printed.text if printed.binding >= binding else self.style.parentheses(printed.text)

    def condition(self, node: Expr, opposite: bool = False) -> str:
        """A comparison, or its opposite."""
        comparison = OPERATIONS[OPERATIONS[node.op].opposite if opposite else node.op]
        assert isinstance(comparison.notation, Notation)
        left, right = (self.operand(arg, SUM) for arg in node.args)
        return f"{left} {self.style.sign(comparison.notation)} {right}"

    def _printed(self, node: Expr) -> Printed:
        return self.names[node] if node in self.names else self._operation(node)

    def _operation(self, node: Expr) -> Printed:
        style = self.style
        first, last = (node.args[0], node.args[-1]) if node.args else (node, node)
        match node.op:
            case "constant" if isinstance(node.attr, float):
                return Printed(style.number(node.attr), SUM if node.attr < 0 else ATOM)
            case "units":
                return Printed("H", ATOM)
            case "sum":
                return self._over_units("sum", self.write(first))
            case "div" if (values := mean_of(node)) is not None:
                return self._over_units("mean", ", ".join(map(self.write, values)))
            case "norm":
                return self._over_units(*str(node.attr).split("_"), self.write(first))
            case "norm_transposed":
                word, *subscript = str(first.attr).split("_")
                arguments = f"{self.write(last)}; {self.write(first.args[0])}"
                return self._over_units(f"{word}′", *subscript, arguments)
            case "gradient":
                return self.symbol(Symbol(str(node.attr), time=PRESENT, mark="ε"))
            case "add" if last.op == "neg" and last not in self.names:
                return Printed(f"{self.operand(first, SUM)} {style.minus} {self.operand(last.args[0], PRODUCT)}", SUM)
            case "add":
                added = self.operand(last, SUM)
                added = style.parentheses(added) if added.startswith(style.minus) else added
                return Printed(f"{self.operand(first, SUM)} + {added}", SUM)
            case "sub":
                return Printed(f"{self.operand(first, SUM)} {style.minus} {self.operand(last, PRODUCT)}", SUM)
            case "neg":
                return Printed(f"{style.minus}{self.operand(first, PRODUCT)}", SUM)
            case "mul":
                return self._product(first, last)
            case "div":
                return self._quotient(first, last)
            case "matmul":
                return Printed(f"{self.write(first)} {self.operand(last, ATOM)}", MATRIX)
            case "matmul_transposed":
                return Printed(f"{style.transposed(self.write(first))} {self.operand(last, ATOM)}", MATRIX)
            case "where":
                return self._choice(node)
            case _:
                return self._function(node)

    def _named(self, node: Expr, names: dict[Expr, Printed]) -> Printed:
        """The operation of a node, with more names."""
        before = self.names
        self.names = before | names
        printed = self._operation(node)
        self.names = before
        return printed

    def _function(self, node: Expr) -> Printed:
        operation = OPERATIONS[node.op]
        if operation.comparison:
            return Printed(self.condition(node), CHOICE)
        notation = operation.notation
        if not isinstance(notation, Notation):
            assert notation is not None
            # The equivalent expression may also be a value of the cell, whose name is defined further on.
            operands = {
                Expr.make("operand", attr=str(index)): self._printed(arg) for index, arg in enumerate(node.args)
            }
            return self._named(notation(*operands), operands)
        return Printed(self.style.call(notation, *(self.write(arg) for arg in node.args)), notation.binding)

    def _over_units(self, word: str, *rest: str) -> Printed:
        """A function over units of its arguments, the last of ``rest``; others before them are a subscript."""
        *subscript, arguments = rest
        return Printed(self.style.over_units(word, "".join(subscript)) + self.style.parentheses(arguments), ATOM)

    def _factor(self, node: Expr) -> str:
        """A factor; a matrix product is in parentheses, since an adjacent ⊙ would be read as part of it."""
        printed = self._printed(node)
        return self.style.parentheses(printed.text) if printed.binding in (CHOICE, SUM, MATRIX) else printed.text

    def _product(self, first: Expr, last: Expr) -> Printed:
        if first is last:
            notation = OPERATIONS[first.op].notation if first.op in OPERATIONS else None
            if isinstance(notation, Notation) and notation.squares and first not in self.names:
                return Printed(self.style.call(notation, self.write(first.args[0]), squared=True), PRODUCT)
            return Printed(self.style.squared(self.operand(first, ATOM)), PRODUCT)
        number, other = (first, last) if first.op == "constant" else (last, first)
        if number.op == "constant":
            return Printed(f"{self.operand(number, PRODUCT)}{self.style.scaled}{self._factor(other)}", PRODUCT)
        return Printed(f"{self._factor(first)} {self.style.times} {self._factor(last)}", PRODUCT)

    def _quotient(self, first: Expr, last: Expr) -> Printed:
        if self.style.fractions:
            return Printed(self.style.fraction(self.write(first), self.write(last)), PRODUCT)
        return Printed(f"{self._factor(first)} / {self.operand(last, ATOM)}", PRODUCT)

    def _choice(self, node: Expr) -> Printed:
        condition, yes, no = node.args
        for kept, other, opposite in ((yes, no, False), (no, yes, True)):
            if other.op == "constant" and other.attr == 0:
                bracket = self.style.bracket(self.condition(condition, opposite))
                if kept.op == "constant" and kept.attr == 1:
                    return Printed(bracket, PRODUCT)
                return Printed(f"{self._factor(kept)} {self.style.times} {bracket}", PRODUCT)
        text = self.style.choice(self.operand(yes, SUM), self.condition(condition), self.operand(no, SUM))
        return Printed(text, CHOICE)


def equations(cell: Cell, *, latex: bool = False) -> list[Equation]:
    """The equations of a cell as a textbook prints them.

    Args:
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
    cell = with_norms(cell)
    printer = Printer(cell, LATEX if latex else UNICODE)
    lines = [Equation(printer.write(node), printer.define(node)) for node in printer.symbols.values]
    defined = {line.left for line in lines}
    for state, output in zip(cell.states, cell.outputs, strict=True):
        left = printer.symbol(printer.symbols.present[state]).text
        if left not in defined:
            lines.append(Equation(left, printer.write(output)))
    return lines
