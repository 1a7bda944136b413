"""The execution plan of a cell, forward and backward: what is computed once, for all steps at once, or in each step."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gatewise.compiler.differentiate import Gradient, backpropagate, collect, gate_order, upstream_leaf
from gatewise.compiler.schedule import Stage, frontier, gather, input_projection_nodes, loop_invariants, stages
from gatewise.compiler.simplify import number, simplify
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, Width, topological

# The row values that are saved are a multiple of this: a cache line of single precision.
ALIGNED = 16


class Outer(NamedTuple):
    """A term of a matrix gradient, for all steps at once: the sum of δ ⊗ operand over steps and batch."""

    block: Parameter
    delta: Expr
    operand: Expr


@dataclass(frozen=True)
class Backward:
    """One step of back-propagation, and the computations after the loop.

    Attributes:
        saved: forward values saved for backward, besides the states.
        hoisted: loop-invariant expressions that the loop reads, computed once before it.
        stages: as in `Plan`; products are with transposed blocks.
        states: for every state, the gradient sent to its value at t−1.
        total_gradients: for every state, the total gradient of its value at t: upstream, and through other states of
            the step, as that of c through h = o ⊙ tanh(c).
        reductions: for every expression of ``Plan.hoisted``, one step's contribution to its gradient, to be summed over
            steps and batch.
        outers: the matrix gradients, after the loop.
        input: the gradient of x, after the loop; None when x has no influence.
        parameters: the gradients of the parameters in hoisted expressions from the reductions, after the loop. The
            reduction of the k-th expression of ``Plan.hoisted`` is the leaf ``gradient`` named ``str(k)``.
    """

    saved: tuple[Expr, ...]
    hoisted: tuple[Expr, ...]
    stages: tuple[Stage, ...]
    states: dict[str, Expr]
    total_gradients: dict[str, Expr]
    reductions: dict[Expr, Expr]
    outers: tuple[Outer, ...]
    input: Expr | None
    parameters: Gradient

    @property
    def saved_blocks(self) -> int:
        """Number of saved values that a row has for each unit, of width H or P."""
        return sum(node.width is not Width.ROW for node in self.saved)

    @property
    def saved_row_values(self) -> int:
        """Number of saved values that a row has once, with padding: rows of what is saved stay aligned."""
        return -(-sum(node.width is Width.ROW for node in self.saved) // ALIGNED) * ALIGNED


@dataclass(frozen=True)
class Plan:
    """The execution plan of a cell.

    Attributes:
        cell: the cell.
        outputs: its values, simplified, with the loop-invariant terms of sums grouped.
        hoisted: loop-invariant expressions, computed once before the loop.
        input_projections: products with x, and their sums with ``hoisted``, computed for all steps at once before the
            loop.
        stages: the computations of one step.
    """

    cell: Cell
    outputs: tuple[Expr, ...]
    hoisted: tuple[Expr, ...]
    input_projections: tuple[Expr, ...]
    stages: tuple[Stage, ...]

    @property
    def input_products(self) -> tuple[Expr, ...]:
        """The products with x; stacked, they are one product for all steps."""
        return tuple(
            node for node in topological(self.input_projections) if node.op == "matmul" and node.args[1].op == "input"
        )

    @property
    def recurrent_products(self) -> tuple[Expr, ...]:
        """The products inside the loop, stage by stage."""
        return tuple(product for stage in self.stages for product in stage.products)

    def multiply_adds(self, input_size: int, hidden_size: int, projection_size: int = 0, heads: int = 1) -> int:
        """Number of multiply-adds in the matrix products of one step of one sequence."""
        size, total = {"I": input_size, "H": hidden_size, "P": projection_size}, 0
        for node in (*self.input_products, *self.recurrent_products):
            rows, columns = self.cell.sizes.of_matrix(node)
            block = node.args[0].attr
            divided = isinstance(block, Parameter) and block.group in self.cell.heads
            total += size[rows] * size[columns] // (heads if divided else 1)
        return total

    @property
    def operations(self) -> Counter[str]:
        """Number of executions of each elementwise operation per step and unit; a sum over units adds once."""
        work = (node for stage in self.stages for node in stage.work)
        return Counter(node.op for node in work if node.op == "sum" or node.width is not Width.ROW)

    @cached_property
    def saved_projections(self) -> int:
        """Number of the values saved for backward that have the width of a projection."""
        if not self.cell.projected:
            return 0
        wide = [node for node in self.backward.saved if node.width is not Width.ROW]
        return sum(self.cell.sizes.of(node) == "P" for node in wide)

    @cached_property
    def backward(self) -> Backward:
        """The plan of the backward pass."""
        return _backward(self)


def plan(cell: Cell) -> Plan:
    """The execution plan of a cell.

    >>> from gatewise.cells import lookup
    >>> forms = [plan(lookup(name)) for name in ("gru_cudnn", "gru_chung2014")]
    >>> [sum(bool(stage.products) for stage in form.stages) for form in forms]  # the reset comes before a product
    [1, 2]
    """
    outputs = gather(simplify(cell.outputs))
    invariant = loop_invariants(outputs)
    from_input = input_projection_nodes(outputs, invariant)
    projections = tuple(frontier(outputs, from_input))
    return Plan(cell, outputs, _read(outputs, invariant), projections, stages(outputs, invariant | from_input))


def _read(roots: Iterable[Expr], loop_invariant: set[Expr]) -> tuple[Expr, ...]:
    return tuple(node for node in frontier(roots, loop_invariant) if number(node) is None)


def _backward(forward: Plan) -> Backward:
    inside = loop_invariants(forward.outputs) - set(forward.hoisted)
    order = [node for node in gate_order(forward.cell.gates, forward.outputs) if node not in inside]
    seeds = [(output, upstream_leaf(state)) for state, output in zip(forward.cell.states, forward.outputs, strict=True)]
    adjoints = backpropagate(seeds, order, leaves=forward.hoisted)
    reductions = {root: adjoints.pop(root) for root in forward.hoisted if root in adjoints}
    step = collect(adjoints)
    outers = tuple(Outer(block, delta, operand) for block, pairs in step.matrices.items() for delta, operand in pairs)
    operands = [outer.operand for outer in outers if outer.operand.op != "input"]
    roots = (*step.states.values(), *reductions.values(), *(outer.delta for outer in outers), *operands)
    # A state that is returned unchanged shares its node with its previous value.
    total_gradients = {
        state: adjoints.get(output, upstream_leaf(state)) if output.args else upstream_leaf(state)
        for state, output in zip(forward.cell.states, forward.outputs, strict=True)
    }
    loop_invariant = loop_invariants(roots)
    saved = _saved(forward, (*roots, *total_gradients.values()))
    arrived = [(root, upstream_leaf(str(index))) for index, root in enumerate(forward.hoisted) if root in reductions]
    return Backward(
        saved=saved,
        hoisted=_read(roots, loop_invariant),
        stages=stages(roots, loop_invariant.union(saved, forward.outputs)),
        states=step.states,
        total_gradients=total_gradients,
        reductions=reductions,
        outers=outers,
        input=step.input,
        parameters=collect(backpropagate(arrived, topological(forward.hoisted))),
    )


def _saved(forward: Plan, roots: Iterable[Expr]) -> tuple[Expr, ...]:
    """The forward values that must be saved for backward, since the states do not give them cheaply.

    Results of products are saved, which covers the gates, and sums over units; elementwise values are recomputed from
    them, even where this costs an exponential (tanh(c) of an LSTM): memory traffic costs more.
    """
    computed = set(topological(forward.outputs))
    cheap: set[Expr] = {*forward.outputs, *loop_invariants(forward.outputs)}
    saved: list[Expr] = []
    wanted = set(frontier(roots, computed))
    for node in topological(forward.outputs):
        if node in cheap or (node.op not in ("matmul", "sum") and all(arg in cheap for arg in node.args)):
            cheap.add(node)
        elif node in wanted:
            others = [arg for arg in node.args if arg not in cheap]
            narrow = node.op not in ("matmul", "sum") and all(arg.width is Width.ROW for arg in others)
            new = others if narrow else [node]
            saved += new
            cheap |= {node, *new}
    return tuple(saved)
