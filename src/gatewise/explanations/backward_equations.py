"""The equations of back-propagation through one step, derived from a cell's graph and printed like its own."""

from collections.abc import Iterable
from dataclasses import replace

from gatewise.compiler.differentiate import Gradient, differentiate, upstream_leaf
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter
from gatewise.equations.mathematics import ATOM, LATEX, MATRIX, PRODUCT, SUM, UNICODE, Equation, Printed, Printer
from gatewise.equations.norms import with_norms
from gatewise.equations.notation import PAST, PRESENT, TILDE, Symbol, free_letter
from gatewise.equations.operations import activation

READ_OUT = (Symbol("W", ("h", "y")), Symbol("y", time=PRESENT, mark="δ"))


class BackwardEquations:
    """The gradients of one step of a cell, as equations.

    δv is the gradient of the loss with respect to v; εv is the part of it that comes from step t+1. The first state
    is read out by ``y_t = W_hy h_t + b_y``.

    Attributes:
        inside: from the upstream gradients to the argument of every gate, in order of computation.
        leaving: the gradients of the states at t−1 and of x_t.
        parameters: the gradients of the parameters, sums over time.
        arguments: the names of the arguments of activations, as equations like i_t = σ(a_{i,t}).
        brackets: whether [condition] occurs.
    """

    def __init__(self, cell: Cell, *, latex: bool = False):
        self._cell = cell = with_norms(cell)
        self._printer = printer = Printer(cell, LATEX if latex else UNICODE)
        self._gradient = differentiate(cell)
        self._per_gate: dict[Expr, str] = {}
        matrix, error = (printer.symbol(symbol).text for symbol in READ_OUT)
        carried = printer.symbol(Symbol(cell.states[0], time=PRESENT, mark="ε")).text
        read_out = Printed(f"{printer.style.transposed(matrix)} {error} + {carried}", SUM)
        printer.names[upstream_leaf(cell.states[0])] = read_out
        self._arguments = self._name_arguments()
        self.arguments = [
            Equation(printer.write(node), printer.applied(node, replace(symbol, mark="")))
            for node in printer.symbols.values
            if activation(node) and (symbol := self._arguments.get(node.args[0])) is not None
        ]
        self.inside = self._inside()
        self.leaving = self._leaving()
        self.parameters = self._parameters()
        self.brackets = any("[" in line.right for line in (*self.inside, *self.leaving))

    def _name_arguments(self) -> dict[Expr, Symbol]:
        """Symbols for the sums inside activations: a_{i,t} for gate i, a_t where there is one such sum."""
        values = self._printer.symbols.values
        taken = {"x", *self._cell.states, *self._cell.groups, *(symbol.base for symbol in values.values())}
        letter = free_letter(taken)
        found: dict[Expr, Symbol] = {}
        for node, symbol in values.items():
            argument = node.args[0]
            if activation(node) and argument.args and argument not in values:
                owner = (symbol.base + TILDE * symbol.tilde, *symbol.subscript)
                found.setdefault(argument, Symbol(letter, owner, PRESENT, mark="δ"))
                if symbol.base in self._cell.gates and symbol.base not in self._cell.states:
                    self._per_gate.setdefault(argument, symbol.base)
        if len(found) == 1:
            found = dict.fromkeys(found, Symbol(letter, time=PRESENT, mark="δ"))
        return found

    def _inside(self) -> list[Equation]:
        printer, adjoints = self._printer, self._gradient.adjoints
        spelled = self._spelled_out()
        lines: list[Equation] = []
        for node, adjoint in adjoints.items():
            if node in printer.symbols.values:
                name = printer.symbol(replace(printer.symbols.values[node], mark="δ"))
            elif node in self._arguments:
                name = printer.symbol(self._arguments[node])
            elif node in spelled:
                delta = printer.symbol(Symbol("", mark="δ")).text
                name = Printed(delta + printer.style.parentheses(printer.write(node)), ATOM)
            else:
                continue
            known = printer.names.get(adjoint)
            lines.append(Equation(name.text, known.text if known else printer.define(adjoint)))
            if known is None or adjoint.op == "gradient":
                printer.names[adjoint] = name
        return lines

    def _spelled_out(self) -> set[Expr]:
        """Values without a name whose gradient is long and used more than once."""
        uses: dict[Expr, int] = {}
        counted: set[Expr] = set()
        pending = list(_results(self._gradient))
        for root in pending:
            uses[root] = uses.get(root, 0) + 1
        while pending:
            node = pending.pop()
            if node not in counted:
                counted.add(node)
                for arg in node.args:
                    uses[arg] = uses.get(arg, 0) + 1
                    pending.append(arg)
        return {
            node
            for node, adjoint in self._gradient.adjoints.items()
            if uses.get(adjoint, 0) > 1 and node.args and adjoint.op == "matmul_transposed"
        }

    def _leaving(self) -> list[Equation]:
        printer = self._printer
        lines = [
            Equation(
                printer.symbol(Symbol(state, time=PAST, mark="ε")).text,
                printer.write(self._gradient.states[state]) if state in self._gradient.states else "0",
            )
            for state in self._cell.states
        ]
        if self._gradient.input is not None:
            x = printer.symbol(Symbol("x", time=PRESENT, mark="δ")).text
            lines.append(Equation(x, printer.write(self._gradient.input)))
        return lines

    def _parameters(self) -> list[Equation]:
        """A line per group, or several where the gates of a group differ; k denotes the gates of a line."""
        lines: list[Equation] = []
        index = next(letter for letter in ("k", "j", "m", "κ") if letter not in self._cell.gates)
        for group in self._cell.groups:
            by_template: dict[tuple[str, str], list[str | None]] = {}
            gates = self._cell.gates_of(group)
            for gate in gates:
                template = self._parameter(Parameter(group, gate), index if len(gates) > 1 else None)
                by_template.setdefault(template, []).append(gate)
            for template, members in by_template.items():
                if len(members) == 1:
                    lines.append(Equation(*self._parameter(Parameter(group, members[0]), None)))
                else:
                    listed = ", ".join(str(member) for member in members)
                    space = r"\quad" if self._printer.style is LATEX else " "
                    lines.append(Equation(template[0], f"{template[1]},{space} {index} = {listed}"))
        return lines

    def _parameter(self, block: Parameter, index_symbol: str | None) -> tuple[str, str]:
        printer, gradient = self._printer, self._gradient
        names = dict(printer.names)
        symbol = printer.symbols.parameters[block]
        if index_symbol:
            symbol = replace(symbol, subscript=(*symbol.subscript[:-1], index_symbol))
            for argument, gate in self._per_gate.items():
                if gate == block.gate and argument in gradient.adjoints:
                    letter = self._arguments[argument]
                    printer.names[gradient.adjoints[argument]] = printer.symbol(
                        replace(letter, subscript=(index_symbol,))
                    )
        terms = [
            f"{printer.operand(delta, ATOM)} {printer.style.transposed(printer.operand(operand, ATOM))}"
            for delta, operand in gradient.matrices.get(block, [])
        ]
        if block in gradient.vectors:
            terms = [printer.operand(gradient.vectors[block], PRODUCT)]
        printer.names = names
        total = (
            printer.parenthesise(Printed(" + ".join(terms), SUM if len(terms) > 1 else MATRIX), MATRIX) if terms else ""
        )
        right = printer.style.sum_over_time(total) if terms else "0"
        return printer.style.derivative(printer.symbol(symbol).text), right


def _results(gradient: Gradient) -> Iterable[Expr]:
    yield from gradient.states.values()
    yield from gradient.vectors.values()
    yield from (delta for pairs in gradient.matrices.values() for delta, _ in pairs)
    if gradient.input is not None:
        yield gradient.input
