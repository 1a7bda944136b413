"""How a cell runs, forwards and backwards: what once, what for all steps at once, what in which stage of a step."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gatewise.compiler.differentiate import Gradient, arriving, backpropagate, collect, gate_order
from gatewise.compiler.schedule import Stage, frontier, gather, input_alone, parameters_alone, stages
from gatewise.compiler.simplify import number, simplify
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, topological


class Outer(NamedTuple):
    """A share of a matrix gradient, for all steps at once: the sum of δ ⊗ operand over steps and batch."""

    block: Parameter
    delta: Expr
    operand: Expr


@dataclass(frozen=True)
class Backward:
    """One step of back-propagation, and what is done once after the loop.

    Attributes:
        saved: forward values that the forward pass must keep, next to the states.
        hoisted: expressions of parameters alone that the loop reads, computed once before it.
        stages: as in forward; products are with transposed blocks.
        states: for every state the gradient sent to its value at t−1.
        whole: for every state the gradient of its value at t: what arrives, and what comes from other states of the
            step, as that of c through h = o ⊙ tanh(c).
        sums: for every expression of ``Plan.hoisted`` one step's share of its gradient, to be summed over steps and
            batch.
        outers: the matrix gradients, after the loop.
        input: the gradient of x, after the loop; None when x has no influence.
        parameters: from the sums to the gradients of the parameters in them, after the loop. The sum of the k-th
            expression of ``Plan.hoisted`` is the leaf ``gradient`` named ``str(k)``.
    """

    saved: tuple[Expr, ...]
    hoisted: tuple[Expr, ...]
    stages: tuple[Stage, ...]
    states: dict[str, Expr]
    whole: dict[str, Expr]
    sums: dict[Expr, Expr]
    outers: tuple[Outer, ...]
    input: Expr | None
    parameters: Gradient


@dataclass(frozen=True)
class Plan:
    """How a cell runs.

    Attributes:
        cell: the cell.
        outputs: its values, simplified, sums reordered so that what does not change in time stands together.
        hoisted: expressions of parameters alone, computed once before the loop.
        inputs: products with x and sums of them with ``hoisted``, computed for all steps at once before the loop.
        stages: what one step computes.
    """

    cell: Cell
    outputs: tuple[Expr, ...]
    hoisted: tuple[Expr, ...]
    inputs: tuple[Expr, ...]
    stages: tuple[Stage, ...]

    @property
    def input_products(self) -> tuple[Expr, ...]:
        """Every product with x; stacked, they are one product for all steps."""
        return tuple(node for node in topological(self.inputs) if node.op == "matmul" and node.args[1].op == "input")

    @property
    def recurrent_products(self) -> tuple[Expr, ...]:
        """Every product inside the loop, stage by stage."""
        return tuple(product for stage in self.stages for product in stage.products)

    def multiply_adds(self, input_size: int, hidden_size: int) -> int:
        """Multiply-adds of the matrix products of one step of one sequence."""
        return hidden_size * (input_size * len(self.input_products) + hidden_size * len(self.recurrent_products))

    @property
    def operations(self) -> Counter[str]:
        """How often each elementwise operation runs per step and unit."""
        return Counter(node.op for stage in self.stages for node in stage.work)

    @cached_property
    def backward(self) -> Backward:
        """The plan of the backward pass."""
        return _backward(self)


def plan(cell: Cell) -> Plan:
    """How a cell runs.

    >>> from gatewise.cells import lookup
    >>> forms = [plan(lookup(name)) for name in ("gru_cudnn", "gru_chung2014")]
    >>> [sum(bool(stage.products) for stage in form.stages) for form in forms]  # the reset comes before a product
    [1, 2]
    """
    outputs = gather(simplify(cell.outputs))
    steady = parameters_alone(outputs)
    from_input = input_alone(outputs, steady)
    inputs = tuple(frontier(outputs, from_input))
    return Plan(cell, outputs, _read(outputs, steady), inputs, stages(outputs, steady | from_input))


def _read(roots: Iterable[Expr], steady: set[Expr]) -> tuple[Expr, ...]:
    return tuple(node for node in frontier(roots, steady) if number(node) is None)


def _backward(forward: Plan) -> Backward:
    inside = parameters_alone(forward.outputs) - set(forward.hoisted)
    order = [node for node in gate_order(forward.cell.gates, forward.outputs) if node not in inside]
    seeds = [(output, arriving(state)) for state, output in zip(forward.cell.states, forward.outputs, strict=True)]
    adjoints = backpropagate(seeds, order, leaves=forward.hoisted)
    sums = {root: adjoints.pop(root) for root in forward.hoisted if root in adjoints}
    step = collect(adjoints)
    outers = tuple(Outer(block, delta, operand) for block, pairs in step.matrices.items() for delta, operand in pairs)
    operands = [outer.operand for outer in outers if outer.operand.op != "input"]
    roots = (*step.states.values(), *sums.values(), *(outer.delta for outer in outers), *operands)
    # A state that is passed on as it is shares its node with what was before.
    whole = {
        state: adjoints.get(output, arriving(state)) if output.args else arriving(state)
        for state, output in zip(forward.cell.states, forward.outputs, strict=True)
    }
    steady = parameters_alone(roots)
    saved = _saved(forward, (*roots, *whole.values()))
    arrived = [(root, arriving(str(at))) for at, root in enumerate(forward.hoisted) if root in sums]
    return Backward(
        saved=saved,
        hoisted=_read(roots, steady),
        stages=stages(roots, steady.union(saved, forward.outputs)),
        states=step.states,
        whole=whole,
        sums=sums,
        outers=outers,
        input=step.input,
        parameters=collect(backpropagate(arrived, topological(forward.hoisted))),
    )


def _saved(forward: Plan, roots: Iterable[Expr]) -> tuple[Expr, ...]:
    """The forward values that the backward pass cannot compute cheaply from the states, and so must be kept.

    Values behind a product are kept, which covers the gates; everything elementwise is computed again from them, even
    where it costs an exponential (tanh(c) of an LSTM): memory traffic costs more.
    """
    computed = set(topological(forward.outputs))
    cheap: set[Expr] = {*forward.outputs, *parameters_alone(forward.outputs)}
    saved: list[Expr] = []
    wanted = set(frontier(roots, computed))
    for node in topological(forward.outputs):
        if node in cheap or (node.op != "matmul" and all(arg in cheap for arg in node.args)):
            cheap.add(node)
        elif node in wanted:
            saved.append(node)
            cheap.add(node)
    return tuple(saved)
